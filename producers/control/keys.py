"""Create and rotate API keys, and check secrets against the stored hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

from producers.control.kinds.api_key import ApiKey
from producers.control.scopes import DEFAULT_SCOPES, Scope
from producers.control.view import ControlView

SECRET_BYTES: Final = 32
_HINT_CHARS: Final = 4
_HINT_SECRET_CHARS_MIN: Final = 20
"""Minimum length of a secret that has a hint, which would reveal too much of a shorter one."""


def new_public_key() -> str:
    """Return a random public key, which no other key pair has."""
    return f"pk-tm-{secrets.token_hex(12)}"


def new_secret() -> str:
    """Return a random secret, which cannot be guessed."""
    return f"sk-tm-{secrets.token_urlsafe(SECRET_BYTES)}"


def new_api_key(
    *,
    key_id: str,
    project_id: str,
    public_key: str,
    secret: str,
    created_us: int,
    note: str = "",
    scopes: Iterable[Scope] = DEFAULT_SCOPES,
    expires_at_us: int | None = None,
) -> ApiKey:
    """Return the record of a key pair, with a salted hash of the secret."""
    salt = secrets.token_hex(16)
    return ApiKey(
        id=key_id,
        project_id=project_id,
        public_key=public_key,
        secret_hash=hash_of(salt, secret.encode()),
        salt=salt,
        created_us=created_us,
        note=note,
        scopes=tuple(scopes),
        expires_at_us=expires_at_us,
        hint=_hint(secret),
    )


def with_secret(key: ApiKey, secret: str, *, previous_valid_until_us: int | None = None) -> ApiKey:
    """Return a key pair with a new secret.

    The previous secret remains valid until ``previous_valid_until_us``; None: it is invalid at
    once.
    """
    salt = secrets.token_hex(16)
    keeps = previous_valid_until_us is not None
    return key.model_copy(
        update={
            "secret_hash": hash_of(salt, secret.encode()),
            "salt": salt,
            "hint": _hint(secret),
            "previous_secret_hash": key.secret_hash if keeps else "",
            "previous_salt": key.salt if keeps else "",
            "previous_valid_until_us": previous_valid_until_us,
        }
    )


def hash_of(salt: str, secret: bytes) -> str:
    """Return the SHA-256 of salt and secret, in hex."""
    return hashlib.sha256(salt.encode() + secret).hexdigest()


def secret_matches(key: ApiKey, secret: bytes) -> bool:
    """Return whether ``secret`` is the current secret of ``key``; compare in constant time."""
    return hmac.compare_digest(hash_of(key.salt, secret), key.secret_hash)


def previous_secret_matches(key: ApiKey, secret: bytes, now_us: int) -> bool:
    """Return whether ``secret`` is the secret before the last rotation and is still valid."""
    valid_until_us = key.previous_valid_until_us
    if valid_until_us is None or valid_until_us <= now_us:
        return False
    return hmac.compare_digest(hash_of(key.previous_salt, secret), key.previous_secret_hash)


def key_of_public_key(view: ControlView, public_key: str) -> ApiKey | None:
    """Return the key pair of a public key; None if there is none."""
    return view.by_unique_key(ApiKey, f"public_key:{public_key}")


def _hint(secret: str) -> str:
    if len(secret) < _HINT_SECRET_CHARS_MIN:
        return ""
    return f"{secret[: len('sk-tm-')]}…{secret[-_HINT_CHARS:]}"
