"""Sign values that browsers keep: sessions, links to sign in, and CSRF tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from itsdangerous import BadData, URLSafeSerializer

Value = TypeVar("Value")

SIGNED_CHARS_MAX: Final = 2_000
"""Maximum length of a signed value; longer ones are refused unread."""


class Signer:
    """Signs values for one purpose; a value of another purpose has no valid signature."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        """Sign with the first secret, and accept signatures of all."""
        self._serializer = URLSafeSerializer(
            list(reversed(secrets)),  # the last one signs
            salt=f"tracemill.{purpose}",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )

    def sign(self, value: Any) -> str:
        return str(self._serializer.dumps(msgspec.to_builtins(value)))

    def value(self, signed: str, value_type: type[Value]) -> Value | None:
        """Return the value of a signed text; None if it was not signed here."""
        if len(signed) > SIGNED_CHARS_MAX:
            return None
        try:
            return msgspec.convert(self._serializer.loads(signed), value_type)
        except (BadData, msgspec.ValidationError):
            return None
