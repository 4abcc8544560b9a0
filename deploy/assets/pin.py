"""Rewrite the lock file of npm packages: `python -m deploy.assets.pin`. `make lock` runs it."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from deploy.assets.npm import fetch_with_npm, newest_version
from deploy.assets.packages import CONSOLE, LOCK_FILE, TESTS, Package, integrity_of

WANTED: Final = (
    ("htmx.org", "^2", CONSOLE, ("dist/htmx.min.js", "LICENSE")),
    ("uplot", "^1.6", CONSOLE, ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")),
    ("axe-core", "^4", TESTS, ("axe.min.js",)),
)
"""Names, allowed versions, users and files of the packages."""

HEADER: Final = """\
# npm packages of the console: htmx (parts of pages that change), uPlot (charts), and axe-core,
# which tests the pages. One package per line: name@version, hash of its archive, user, files.
# Written by `make lock`.
"""


def main() -> int:
    print("resolving npm packages", file=sys.stderr, flush=True)
    lines = []
    for name, allowed, used_by, files in WANTED:
        with TemporaryDirectory() as directory:
            place = Path(directory)
            version = newest_version(name, allowed, place)
            archive = fetch_with_npm(Package(name, version, "", used_by, files), place)
            lines.append(Package(name, version, integrity_of(archive), used_by, files).line)
    LOCK_FILE.write_text(HEADER + "".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
