"""Default directories, and the validation of directories in settings and options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from deploy.errors import DeployError

DATA_WITHOUT_HOME: Final = Path("/var/lib")
CACHE_WITHOUT_HOME: Final = Path("/var/cache")


def default_data_dir() -> Path:
    """Return ``$XDG_DATA_HOME/tracemill``, by default ``~/.local/share/tracemill``.

    If there is no home directory, as in a container, it is ``/var/lib/tracemill``.
    """
    named = os.environ.get("XDG_DATA_HOME")
    return Path(named or _below_home(".local/share", DATA_WITHOUT_HOME)) / "tracemill"


def default_cache_dir() -> Path:
    """Return ``$XDG_CACHE_HOME/tracemill``, by default ``~/.cache/tracemill``.

    If there is no home directory, it is ``/var/cache/tracemill``.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    return Path(named or _below_home(".cache", CACHE_WITHOUT_HOME)) / "tracemill"


def absolute(path: Path) -> Path:
    """Return the absolute path, with ``~`` and symbolic links resolved.

    Raises:
        DeployError: the path names an unknown user, or its links form a loop.
    """
    try:
        return path.expanduser().resolve()
    except (RuntimeError, OSError) as error:
        raise DeployError(f"cannot use the directory {path}: {error}") from error


def _below_home(path: str, without_home: Path) -> Path:
    try:
        return Path.home() / path
    except RuntimeError:
        return without_home


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such user, or the user has no home directory") from error


Directory = Annotated[Path, AfterValidator(_expanded)]
"""A directory in a setting, with ``~`` for the home directory."""
