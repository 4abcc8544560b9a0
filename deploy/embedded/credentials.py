"""Generate and read the passwords of the embedded engines, each in its own file."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from pydantic import BaseModel, ConfigDict, SecretStr

from deploy.errors import DeployError

PASSWORD_BYTES: Final = 24


class Credentials(BaseModel):
    """Passwords of the broker's clients and the store's users, and keys of the installation."""

    model_config = ConfigDict(frozen=True)

    broker: SecretStr
    store_ingest: SecretStr
    store_query: SecretStr
    store_migrate: SecretStr
    encryption: SecretStr
    admin: SecretStr = SecretStr("")
    """The admin key; older installations generate one at their next start."""
    console: SecretStr = SecretStr("")
    """Signs sessions of the console; older installations generate it at their next start."""


def new_password() -> SecretStr:
    """Generate a password that needs no quoting in a URL, a shell or a configuration file."""
    return SecretStr(secrets.token_urlsafe(PASSWORD_BYTES))


def password_file(data_dir: Path, name: str) -> Path:
    """Return the path of the file with one field of ``Credentials``."""
    return data_dir / "credentials" / name


def ensure_credentials(data_dir: Path) -> Credentials:
    """Read the passwords of an installation; generate those that are missing.

    Several processes may call this at the same time: all return the passwords written first.

    Raises:
        DeployError: the directory or a file in it cannot be used.
    """
    return Credentials(
        **{name: _ensure(password_file(data_dir, name)) for name in Credentials.model_fields}
    )


def read_credentials(data_dir: Path) -> Credentials | None:
    """Read the passwords of an installation; None if one is missing.

    Raises:
        DeployError: a file cannot be read.
    """
    found = {name: _read(password_file(data_dir, name)) for name in Credentials.model_fields}
    present = {name: value for name, value in found.items() if value is not None}
    required = {name for name, field in Credentials.model_fields.items() if field.is_required()}
    return Credentials.model_validate(present) if required <= present.keys() else None


def make_private(directory: Path) -> None:
    """Create a directory that only its owner can use (mode 700), or restrict an existing one."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid == os.geteuid():
        directory.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read (mode 600), atomically."""
    with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as staged:  # mode 600
        staged.write(os.fsencode(text))
    Path(staged.name).replace(path)


def _ensure(path: Path) -> SecretStr:
    found = _read(path)
    if found is not None:
        return found
    try:
        make_private(path.parent)
        with NamedTemporaryFile("w", dir=path.parent, prefix=".") as staged:  # mode 600
            staged.write(new_password().get_secret_value() + "\n")
            staged.flush()
            os.fsync(staged.fileno())
            # A hard link is created atomically and never replaces an existing file.
            with contextlib.suppress(FileExistsError):
                os.link(staged.name, path)
    except OSError as error:
        raise DeployError(f"cannot write {path}: {error.strerror}") from error
    written = _read(path)
    assert written is not None
    return written


def _read(path: Path) -> SecretStr | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(f"cannot read {path}: {error}") from error
    if not text:
        raise DeployError(f"{path} is empty: delete it, and the next start generates a password")
    return SecretStr(text)
