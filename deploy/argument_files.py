"""Write the files that arguments of commands name."""

from __future__ import annotations

from pathlib import Path

from deploy.errors import InvalidArgumentError


def check_writable(path: Path) -> None:
    """Check that a file can be written, before the work whose result it will contain.

    Raises:
        InvalidArgumentError: it cannot.
    """
    try:
        path.open("ab").close()
    except OSError as error:
        raise _not_writable(path, error) from error


def write_file(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        InvalidArgumentError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> InvalidArgumentError:
    return InvalidArgumentError(f"{path} cannot be written: {error.strerror or error}")
