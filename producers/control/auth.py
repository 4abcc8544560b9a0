"""Who is calling: the tenant comes from the credential, never from what is sent with it."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from producers.control.keys import key_of_public_key, new_api_key, secret_matches
from producers.control.kinds.api_key import ApiKey
from producers.control.log import ControlLog
from producers.errors import UnauthorizedError

Scope = Literal["project", "scores"]

NO_HEADER: Final = "No authorization header"
SEVERAL: Final = "More than one authorization header"
INVALID: Final = "Invalid credentials. Confirm that you've configured the correct host."
CREDENTIAL_MAX_BYTES: Final = 1024
CONNECTION: Final = "tracemill.connection"
"""Key of an ASGI scope under which the server may have put the connection."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. Scope ``scores`` (a public key alone) may write scores and nothing else."""

    project_id: str
    scope: Scope
    public_key: str

    @property
    def share(self) -> str:
        """Return the name of the share that its requests use.

        A public key is known to others, so its requests use a share apart from the project's.
        """
        return self.project_id if self.scope == "project" else f"{self.project_id} (public key)"


class Authenticator:
    """Checks credentials against the control plane's view: a look-up and one SHA-256, a few microseconds.

    Nothing is cached, so a deleted key is refused as soon as its tombstone is read.
    """

    def __init__(self, control: ControlLog) -> None:
        self._view = control.view
        # Unknown public keys are compared too, so that the time taken does not tell which keys exist.
        self._nobody = new_api_key(
            key_id="nobody",
            project_id="nobody",
            public_key="nobody",
            secret=secrets.token_hex(16),
            created_us=0,
        )

    def authenticate(self, authorization: bytes | None) -> Principal:
        """The caller of an ``Authorization`` header: ``Basic public:secret``, or ``Bearer public``.

        Raises:
            UnauthorizedError: there is none, or it is not one of ours; the message is for the client.
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
        key = self._key_of(public_key)
        matches = secret_matches(key or self._nobody, secret)
        if key is None or not matches:
            raise UnauthorizedError(INVALID)
        return Principal(key.project_id, "project", key.public_key)

    def _bearer(self, credential: bytes) -> Principal:
        key = self._key_of(credential)
        if key is None:
            raise UnauthorizedError(INVALID)
        return Principal(key.project_id, "scores", key.public_key)

    def _key_of(self, public_key: bytes) -> ApiKey | None:
        return key_of_public_key(self._view, public_key.decode(errors="replace"))


def note_authenticated(scope: Mapping[str, Any], principal: Principal) -> None:
    """Mark the connection of this request as authenticated.

    A public key does not count: it is not secret.
    """
    connection = scope.get(CONNECTION)
    if connection is not None and principal.scope == "project":
        connection.authenticated()


def authorization_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The ``Authorization`` header of an ASGI scope.

    Raises:
        UnauthorizedError: there are several, and whoever stands between might have read another one.
    """
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) > 1:
        raise UnauthorizedError(SEVERAL)
    return found[0] if found else None
