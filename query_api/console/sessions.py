"""Start and check sessions, which are signed cookies that refer to an API key.

A session has the project and the scopes that its key has at the time of each request. It ends when
the viewer signs out, when the key is revoked or expires, or when the secret with which it started
is no longer valid. The cookie has a session of each project in which the browser is signed in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from producers.control.auth import Authenticator, Principal
from producers.control.keys import secret_matches
from producers.control.kinds.api_key import ApiKey
from query_api.console.signatures import Signer
from query_api.console.spent_tokens import SpentTokens
from query_api.errors import ConflictError

COOKIE: Final = "tracemill_session"
HOUR_US: Final = 3_600 * 1_000_000
SESSIONS_MAX: Final = 8
"""Maximum number of projects in which a browser is signed in; the oldest ones are forgotten."""
_BETWEEN: Final = "~"
_ID_BYTES: Final = 16


class _Signed(msgspec.Struct, frozen=True):
    public_key: str
    secret: str
    """Fingerprint of the stored hash of the secret with which the session started."""
    started_us: int
    id: str


@dataclass(frozen=True, slots=True)
class Session:
    """The signed-in caller of a request."""

    principal: Principal
    csrf_token: str
    id: str
    ends_us: int

    @property
    def project_id(self) -> str:
        return self.principal.project_id


class Sessions:
    """Starts sessions, and finds the session of a request."""

    def __init__(
        self,
        authenticator: Authenticator,
        signing: Sequence[str],
        spent: SpentTokens,
        *,
        hours_max: float,
        now_us: Callable[[], int],
    ) -> None:
        """Sign with the secrets ``signing``; sessions end after ``hours_max``."""
        self._authenticator = authenticator
        self._spent = spent
        self._cookies = Signer(signing, "session")
        self._csrf = Signer(signing, "csrf")
        self._length_us = int(hours_max * HOUR_US)
        self._now_us = now_us

    def start(
        self,
        request: Request,
        response: Response,
        key: ApiKey,
        secret: bytes | None,
        *,
        is_https: bool,
    ) -> None:
        """Add a new session of a key to the cookie, in place of another one of its project.

        ``secret`` is the one that the caller presented, which may be the one before a rotation.
        """
        is_previous = secret is not None and not secret_matches(key, secret)
        stored = key.previous_secret_hash if is_previous else key.secret_hash
        session = _Signed(
            key.public_key, _fingerprint(stored), self._now_us(), secrets.token_hex(_ID_BYTES)
        )
        others = [
            signed for signed, each in self._signed_in(request) if each.project_id != key.project_id
        ]
        response.set_cookie(
            COOKIE,
            _BETWEEN.join([self._cookies.sign(session), *others][:SESSIONS_MAX]),
            max_age=self._length_us // 1_000_000,
            secure=is_https,
            httponly=True,
            samesite="strict",
        )

    def of(self, request: Request, project_id: str = "") -> Session | None:
        """Return the session of a request, that of a project if there is one, or else the latest.

        None: it has none, or all have ended.
        """
        found = self.all_of(request)
        of_project = [each for each in found if each.project_id == project_id]
        return next(iter([*of_project, *found]), None)

    def all_of(self, request: Request) -> list[Session]:
        """Return the sessions of a request, the latest first."""
        return [session for _, session in self._signed_in(request)]

    async def end(self, request: Request, response: Response) -> None:
        """End all sessions of a request, for all processes, and delete the cookie.

        Raises:
            ControlUnavailableError: the control log does not respond.
        """
        for each in self.all_of(request):
            # At the limit, which is counted, the session only ends in this browser.
            with suppress(ConflictError):
                await self._spent.spend("session", each.id, each.project_id, each.ends_us)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def _signed_in(self, request: Request) -> list[tuple[str, Session]]:
        """Return the sessions with their signed texts in the cookie."""
        texts = request.cookies.get(COOKIE, "").split(_BETWEEN)[:SESSIONS_MAX]
        found = [(each, self._session(each)) for each in texts]
        return [(text, session) for text, session in found if session is not None]

    def _session(self, text: str) -> Session | None:
        signed = self._cookies.value(text, _Signed)
        if signed is None or not self._is_current(signed.started_us):
            return None
        key = self._authenticator.usable_key(signed.public_key)
        if key is None or not self._has_secret(key, signed.secret):
            return None
        if self._spent.is_spent("session", signed.id):
            return None
        self._authenticator.used_keys.add(key.id)
        principal = Principal(key.project_id, frozenset(key.scopes), key.public_key)
        ends_us = signed.started_us + self._length_us
        return Session(principal, self._csrf.sign(signed.id), signed.id, ends_us)

    def is_csrf_token(self, session: Session, token: str) -> bool:
        """Return whether a form has the token of a session; compare in constant time."""
        return hmac.compare_digest(session.csrf_token.encode(), token.encode())

    def _is_current(self, started_us: int) -> bool:
        return started_us <= self._now_us() < started_us + self._length_us

    def _has_secret(self, key: ApiKey, fingerprint: str) -> bool:
        if hmac.compare_digest(_fingerprint(key.secret_hash), fingerprint):
            return True
        until_us = key.previous_valid_until_us
        return (
            until_us is not None
            and self._now_us() < until_us
            and hmac.compare_digest(_fingerprint(key.previous_secret_hash), fingerprint)
        )


def _fingerprint(secret_hash: str) -> str:
    return hashlib.sha256(f"session {secret_hash}".encode()).hexdigest()
