"""Create and redeem links to sign in, each of which works once and for a short time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from producers.control.auth import Authenticator
from producers.control.kinds.api_key import ApiKey
from query_api.console.signatures import Signer
from query_api.console.spent_tokens import SpentTokens
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
    """Redeems links, each once, whatever process redeems it."""

    def __init__(
        self,
        signing: Sequence[str],
        authenticator: Authenticator,
        spent: SpentTokens,
        *,
        valid_s: int,
        now_us: Callable[[], int],
    ) -> None:
        """Accept links of the secrets ``signing``."""
        self._signer = Signer(signing, _PURPOSE)
        self._authenticator = authenticator
        self._spent = spent
        self._valid_us = valid_s * _SECOND_US
        self._now_us = now_us

    async def redeem(self, token: str) -> ApiKey | None:
        """Return the key of a link, and mark the link as used; None if it is not valid.

        Raises:
            ConflictError: the project has too many tokens that are spent and not expired.
            ControlUnavailableError: the control log does not respond.
        """
        link = self._signer.value(token, _Link)
        if link is None:
            return None
        expires_us = link.created_us + self._valid_us
        key = self._authenticator.usable_key(link.public_key)
        if key is None or not link.created_us <= self._now_us() < expires_us:
            return None
        is_first = await self._spent.spend("link", link.id, key.project_id, expires_us)
        return key if is_first else None
