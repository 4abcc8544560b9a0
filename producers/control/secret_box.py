"""Encrypts the secrets of control records where a copy of them is kept outside the log."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

PREFIX: Final = "encrypted:"


class SecretBox:
    """Encrypts and decrypts texts with the key of an installation, any text of 16 characters or more."""

    def __init__(self, key: str) -> None:
        # Fernet wants 32 bytes; a passphrase of any form becomes that, always the same way.
        digest = hashlib.sha256(b"tracemill/" + key.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def encrypt(self, text: str) -> str:
        return PREFIX + self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str | None:
        """Return the text; None for what was not encrypted, or with another key."""
        if not text.startswith(PREFIX):
            return None
        try:
            return self._fernet.decrypt(text.removeprefix(PREFIX).encode()).decode()
        except InvalidToken:
            return None
