"""Makes API keys, and checks secrets against the stored hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from producers.control.kinds.api_key import ApiKey
from producers.control.scopes import DEFAULT_SCOPES, Scope
from producers.control.view import ControlView


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
    """Return the record of a key pair, which holds a salted hash of the secret."""
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
    )


def hash_of(salt: str, secret: bytes) -> str:
    """Return the SHA-256 of salt and secret as hex."""
    return hashlib.sha256(salt.encode() + secret).hexdigest()


def secret_matches(key: ApiKey, secret: bytes) -> bool:
    """Return whether ``secret`` is that of ``key``, comparing in constant time."""
    return hmac.compare_digest(hash_of(key.salt, secret), key.secret_hash)


def key_of_public_key(view: ControlView, public_key: str) -> ApiKey | None:
    """Return the key pair of a public key, in constant time."""
    return view.by_unique_key(ApiKey, f"public_key:{public_key}")
