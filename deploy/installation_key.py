"""Read the key that encrypts secrets in the store, from the environment or the data directory."""

from __future__ import annotations

from deploy.embedded.credentials import password_file
from deploy.settings import ProcessSettings
from producers.control.secret_box import SecretBox


def secret_box(process: ProcessSettings) -> SecretBox | None:
    """Return the object that encrypts and decrypts secrets; None if there is no key."""
    key = process.encryption_key.get_secret_value()
    if not key:
        try:
            key = password_file(process.data_dir, "encryption").read_text().strip()
        except OSError:
            return None
    return SecretBox(key) if key else None
