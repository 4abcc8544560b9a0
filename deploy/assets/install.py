"""Fetch the files that the console serves: `python -m deploy.assets.install`.

`make setup` runs it. Wheels contain the files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.assets.npm import fetch_with_npm
from deploy.assets.packages import CONSOLE, TESTS, ensure_packages, place, read_lock
from deploy.embedded.settings import EmbeddedSettings
from deploy.errors import DeployError
from query_api.console.static_files import PACKAGES_DIRECTORY


def npm_cache_dir() -> Path:
    """Return the directory of the archives."""
    return EmbeddedSettings().cache_dir / "npm"


def install() -> None:
    """Fetch what the console serves, unless it is in the cache, and place it in the package.

    Raises:
        DownloadError: a package cannot be fetched, or the files cannot be written.
    """
    wanted = [each for each in read_lock() if each.used_by == CONSOLE]
    place(ensure_packages(npm_cache_dir(), wanted, fetch_with_npm), PACKAGES_DIRECTORY)


def file_for_tests(name: str) -> Path:
    """Return the path of a file of a package that tests use, such as `axe.min.js`.

    Raises:
        DownloadError: the package cannot be fetched.
    """
    wanted = [each for each in read_lock() if each.used_by == TESTS]
    return ensure_packages(npm_cache_dir(), wanted, fetch_with_npm)[name]


def main() -> int:
    try:
        install()
    except DeployError as error:
        # Not fatal: pages have tables in place of charts, and forms without previews.
        print(f"tracemill: {error}; the console works without its scripts", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
