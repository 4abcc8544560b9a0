"""Authenticate callers: the tenant comes from the credential, never from what is sent with it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from producers.control.keys import (
    key_of_public_key,
    new_api_key,
    previous_secret_matches,
    secret_matches,
)
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.scopes import Scope
from producers.errors import ForbiddenError, UnauthorizedError
from producers.settings import AdminSettings
from tracemill.clock import now_us

NO_HEADER: Final = "No authorization header"
SEVERAL: Final = "More than one authorization header"
INVALID: Final = "Invalid credentials. Confirm that you've configured the correct host."
DENIED: Final = "Access Scope Denied"
CREDENTIAL_MAX_BYTES: Final = 1024
CONNECTION: Final = "tracemill.connection"
"""Key of an ASGI scope under which the server may have put the connection."""
ADMIN: Final = b"admin"
"""User name of the installation's admin key in Basic authentication."""
OF_PUBLIC_KEY: Final[frozenset[Scope]] = frozenset({"scores"})
"""What a public key alone may permit: it is not secret."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    owner: str | None
    """The project that the credential belongs to; None: the installation."""
    scopes: frozenset[Scope]
    public_key: str
    has_secret: bool = True
    """False: the credential is a public key alone, which others may know."""

    @property
    def project_id(self) -> str:
        """Return the project.

        Raises:
            ForbiddenError: the credential belongs to none.
        """
        if self.owner is None:
            raise ForbiddenError(f"{DENIED}: the admin key belongs to no project")
        return self.owner

    @property
    def quota_key(self) -> str:
        """Return the key under which limits count its requests.

        A public key is known to others, so its requests do not count toward the project's limits.
        """
        return self.project_id if self.has_secret else f"{self.project_id} (public key)"

    def require(self, *scopes: Scope) -> None:
        """Check that the credential permits what any of ``scopes`` permits.

        Raises:
            ForbiddenError: it does not; the message names what is needed.
        """
        if self.scopes.isdisjoint(scopes):
            needed = " or ".join(map(repr, scopes))
            raise ForbiddenError(f"{DENIED}: the credential lacks the scope {needed}")


class Authenticator:
    """Check credentials against the control plane: a look-up and one SHA-256, a few microseconds.

    Nothing is cached, so a deleted key is refused as soon as its tombstone is read.
    """

    def __init__(
        self,
        control: ControlLog,
        admin: AdminSettings | None = None,
        now_us: Callable[[], int] = now_us,
    ) -> None:
        """Check keys of ``control``, and the admin key of ``admin`` if it has one."""
        self._view = control.view
        self._now_us = now_us
        self.used_keys: set[str] = set()
        """Ids of keys that were used since ``take_used_keys`` was called."""
        secret = admin.secret_key.get_secret_value() if admin is not None else ""
        self._admin = hashlib.sha256(secret.encode()).digest() if secret else None
        # Unknown public keys are compared too: the time taken must not show which keys exist.
        self._unknown = new_api_key(
            key_id="unknown",
            project_id="unknown",
            public_key="unknown",
            secret=secrets.token_hex(16),
            created_us=0,
        )

    def take_used_keys(self) -> set[str]:
        """Return the ids of keys that were used since the last call."""
        used, self.used_keys = self.used_keys, set()
        return used

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Return the caller of an ``Authorization`` header.

        It is ``Basic public:secret`` or ``Bearer public`` with a project's key, ``Basic
        admin:secret`` or ``Bearer secret`` with the admin key.

        Raises:
            UnauthorizedError: there is none, or it is not valid; the message is for the client.
        """
        if not authorization:
            raise UnauthorizedError(NO_HEADER)
        method, _, credential = authorization.partition(b" ")
        credential = credential.strip()
        if len(credential) <= CREDENTIAL_MAX_BYTES:
            if method.lower() == b"basic":
                return self._basic(credential)
            if method.lower() == b"bearer":
                return self._bearer(credential)
        raise UnauthorizedError(INVALID)

    def _basic(self, credential: bytes) -> Principal:
        try:
            public_key, _, secret = base64.b64decode(credential, validate=True).partition(b":")
        except binascii.Error:
            raise UnauthorizedError(INVALID) from None
        if public_key == ADMIN and self._is_admin(secret):
            return _INSTALLATION
        key = self._key_of(public_key)
        matches = secret_matches(key or self._unknown, secret)
        if key is None or not (matches or previous_secret_matches(key, secret, self._now_us())):
            raise UnauthorizedError(INVALID)
        self.used_keys.add(key.id)
        return Principal(key.project_id, frozenset(key.scopes), key.public_key)

    def _bearer(self, credential: bytes) -> Principal:
        if self._is_admin(credential):
            return _INSTALLATION
        key = self._key_of(credential)
        if key is None:
            raise UnauthorizedError(INVALID)
        self.used_keys.add(key.id)
        scopes = OF_PUBLIC_KEY.intersection(key.scopes)
        return Principal(key.project_id, scopes, key.public_key, has_secret=False)

    def _is_admin(self, secret: bytes) -> bool:
        """Compare with the admin key, in a time that depends on the length of ``secret`` only."""
        return self._admin is not None and hmac.compare_digest(
            hashlib.sha256(secret).digest(), self._admin
        )

    def _key_of(self, public_key: bytes) -> ApiKey | None:
        """Return the key pair of a public key; None if it may not be used (any more)."""
        key = key_of_public_key(self._view, public_key.decode(errors="replace"))
        if key is None or (key.expires_at_us is not None and key.expires_at_us <= self._now_us()):
            return None
        project = self._view[Project].get(key.project_id)
        # A key is written before its project when an installation is new.
        return key if project is None or project.state == "active" else None


_INSTALLATION: Final = Principal(None, frozenset({"admin"}), "admin")


def note_authenticated(scope: Mapping[str, Any], principal: Principal) -> None:
    """Mark the connection of this request as authenticated.

    A public key does not count: it is not secret.
    """
    connection = scope.get(CONNECTION)
    if connection is not None and principal.has_secret:
        connection.authenticated()


def authorization_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the ``Authorization`` header of an ASGI scope.

    Raises:
        UnauthorizedError: there are several, of which a proxy might have read another one.
    """
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) > 1:
        raise UnauthorizedError(SEVERAL)
    return found[0] if found else None
