"""Encrypt secrets of control records for their copies outside the log."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken

PREFIX: Final = "encrypted:"
_JSON: Final = "json:"


class SecretBox:
    """Encrypt and decrypt texts with the installation's key, which has 16 characters or more."""

    def __init__(self, key: str) -> None:
        # Fernet needs 32 bytes, which are derived from the passphrase.
        digest = hashlib.sha256(b"tracemill/" + key.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def encrypt(self, text: str) -> str:
        """Encrypt a text; the result begins with ``PREFIX``."""
        return PREFIX + self._fernet.encrypt(text.encode()).decode()

    def encrypt_value(self, value: Any) -> str:
        """Encrypt a text, or another value as JSON."""
        is_text = isinstance(value, str) and not value.startswith(_JSON)
        return self.encrypt(value if is_text else _JSON + msgspec.json.encode(value).decode())

    def decrypt_value(self, text: str) -> Any:
        """Decrypt a value; None if it was not encrypted with this key."""
        value = self.decrypt(text)
        if value is None or not value.startswith(_JSON):
            return value
        return msgspec.json.decode(value.removeprefix(_JSON))

    def decrypt(self, text: str) -> str | None:
        """Decrypt a text; None if it was not encrypted with this key."""
        if not text.startswith(PREFIX):
            return None
        try:
            return self._fernet.decrypt(text.removeprefix(PREFIX).encode()).decode()
        except InvalidToken:
            return None
