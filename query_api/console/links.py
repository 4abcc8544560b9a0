"""Create and redeem links to sign in, each of which works once and for a short time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from query_api import metrics
from query_api.console.signatures import Signer
from tracemill.clock import now_us as system_now_us

SIGN_IN: Final = "/console/sign-in"
_PURPOSE: Final = "link"
_ID_BYTES: Final = 16
_SECOND_US: Final = 1_000_000


class _Link(msgspec.Struct, frozen=True):
    public_key: str
    created_us: int
    id: str


def link_path(signing: Sequence[str], public_key: str) -> str:
    """Return the path of a new link, which signs in as a key without the key's secret.

    The first secret of ``signing`` signs the link.
    """
    link = _Link(public_key, system_now_us(), secrets.token_hex(_ID_BYTES))
    return f"{SIGN_IN}?token={quote(Signer(signing, _PURPOSE).sign(link))}"


class Links:
    """Redeems links. Each process remembers which links it has redeemed until they expire.

    Links from before the start of the process are refused, because they may have been used.
    """

    def __init__(
        self,
        signing: Sequence[str],
        *,
        valid_s: int,
        used_max: int,
        now_us: Callable[[], int],
    ) -> None:
        """Accept links of the secrets ``signing``."""
        self._signer = Signer(signing, _PURPOSE)
        self._valid_us = valid_s * _SECOND_US
        self._used_max = used_max
        self._now_us = now_us
        self._started_us = now_us()
        self._used: dict[str, int] = {}
        """When each used link expires, in microseconds, by its id."""

    def redeem(self, token: str) -> str | None:
        """Return the public key of a link, and mark it as used; None if it is not valid."""
        now_us = self._now_us()
        for used in [each for each, until_us in self._used.items() if until_us <= now_us]:
            del self._used[used]
        link = self._signer.value(token, _Link)
        if link is None or link.id in self._used or link.created_us < self._started_us:
            return None
        if not link.created_us <= now_us < link.created_us + self._valid_us:
            return None
        if len(self._used) >= self._used_max:
            metrics.LIMITS_REACHED.labels("links_used_max").inc()
            return None
        self._used[link.id] = link.created_us + self._valid_us
        return link.public_key
