"""Authenticate callers. Only the credential decides which project a request belongs to."""

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
OF_NO_PROJECT: Final = (
    "the installation's admin key belongs to no project; use the key of a project"
)
CREDENTIAL_MAX_BYTES: Final = 1024
CONNECTION: Final = "tracemill.connection"
"""Key of an ASGI scope under which the server may store its connection."""
ADMIN: Final = b"admin"
"""User name of the installation's admin key in Basic authentication."""
OF_PUBLIC_KEY: Final[frozenset[Scope]] = frozenset({"scores"})
"""The scopes that a public key alone can have, because it is not secret."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    owner: str | None
    """The project of the credential; None for the installation's admin key."""
    scopes: frozenset[Scope]
    public_key: str
    has_secret: bool = True
    """False if the credential is only a public key, which is not secret."""

    @property
    def project_id(self) -> str:
        """Return the project of the credential.

        Raises:
            ForbiddenError: the credential is the admin key, which belongs to no project.
        """
        if self.owner is None:
            raise ForbiddenError(f"{DENIED}: {OF_NO_PROJECT}")
        return self.owner

    @property
    def quota_key(self) -> str:
        """Return the key under which limits count the caller's requests.

        Requests with only a public key are counted separately, because others could send them.
        """
        if self.has_secret and self.owner is not None:
            return self.owner
        return self.project_id if self.has_secret else f"{self.project_id} (public key)"

    def require(self, *scopes: Scope) -> None:
        """Check that the credential has one of ``scopes``.

        Raises:
            ForbiddenError: it has none of them; the message names them.
        """
        if self.scopes.isdisjoint(scopes):
            needed = " or ".join(map(repr, scopes))
            if self.owner is None:
                raise ForbiddenError(f"{DENIED}: {OF_NO_PROJECT} with the scope {needed}")
            raise ForbiddenError(f"{DENIED}: the credential lacks the scope {needed}")


class Authenticator:
    """Check credentials against the keys of the control plane.

    A check takes a few microseconds: a look-up and a SHA-256. Nothing is cached, so a deleted key
    is refused as soon as its tombstone is read.
    """

    def __init__(
        self,
        control: ControlLog,
        admin: AdminSettings | None = None,
        now_us: Callable[[], int] = now_us,
    ) -> None:
        """Check the keys of ``control``, and the admin key of ``admin`` if there is one."""
        self._view = control.view
        self._now_us = now_us
        self.used_keys: set[str] = set()
        """Ids of the keys that were used since the last call of ``take_used_keys``."""
        secret = admin.secret_key.get_secret_value() if admin is not None else ""
        self._admin = hashlib.sha256(secret.encode()).digest() if secret else None
        # Unknown public keys are compared as well: the time must not reveal which keys exist.
        self._unknown = new_api_key(
            key_id="unknown",
            project_id="unknown",
            public_key="unknown",
            secret=secrets.token_hex(16),
            created_us=0,
        )

    def take_used_keys(self) -> set[str]:
        """Return the ids of the keys that were used since the last call."""
        used, self.used_keys = self.used_keys, set()
        return used

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Return the caller that an ``Authorization`` header authenticates.

        The header is ``Basic PUBLIC:SECRET`` or ``Bearer PUBLIC`` for a project's key, and ``Basic
        admin:SECRET`` or ``Bearer SECRET`` for the admin key.

        Raises:
            UnauthorizedError: it is missing or invalid; the message is safe to show to the client.
        """
        if not authorization:
            raise UnauthorizedError(NO_HEADER)
        # Some exporters send OTEL_EXPORTER_OTLP_HEADERS without decoding its "Basic%20…".
        space = b" " if b" " in authorization else b"%20"
        method, _, credential = authorization.partition(space)
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

    def usable_key(self, public_key: str) -> ApiKey | None:
        """Return the key pair of a public key; None if it is unknown, expired or revoked.

        The caller must have checked the secret by other means, such as a signed session.
        """
        return self._key_of(public_key.encode())

    def _is_admin(self, secret: bytes) -> bool:
        """Compare with the admin key, in a time that depends only on the length of ``secret``."""
        return self._admin is not None and hmac.compare_digest(
            hashlib.sha256(secret).digest(), self._admin
        )

    def _key_of(self, public_key: bytes) -> ApiKey | None:
        """Return the key pair of a public key; None if there is none that may be used."""
        key = key_of_public_key(self._view, public_key.decode(errors="replace"))
        if key is None or (key.expires_at_us is not None and key.expires_at_us <= self._now_us()):
            return None
        project = self._view[Project].get(key.project_id)
        # In a new installation, the first key is written before its project.
        return key if project is None or project.state == "active" else None


_INSTALLATION: Final = Principal(None, frozenset({"admin"}), "admin")


def note_authenticated(scope: Mapping[str, Any], principal: Principal) -> None:
    """Mark the connection of a request as authenticated.

    A public key alone is not sufficient, because it is not secret.
    """
    connection = scope.get(CONNECTION)
    if connection is not None and principal.has_secret:
        connection.authenticated()


def authorization_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the ``Authorization`` header of an ASGI scope.

    Raises:
        UnauthorizedError: there are several headers. A proxy might have checked another one.
    """
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) > 1:
        raise UnauthorizedError(SEVERAL)
    return found[0] if found else None
