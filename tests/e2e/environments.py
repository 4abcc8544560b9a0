"""Virtual environments that hold one requirement each, kept between runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

INSTALL_TIMEOUT_S = 300


class Environments:
    """Makes an environment per requirement, below the user's cache directory."""

    def __init__(self) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._root = cache / "tracemill" / "sdk-environments"

    def python(self, requirement: str) -> Path:
        """The interpreter of the environment that holds ``requirement``."""
        home = self._root / re.sub(r"[^A-Za-z0-9.]+", "-", requirement)
        python = home / "bin" / "python"
        complete = home / "complete"
        if not complete.exists():
            shutil.rmtree(home, ignore_errors=True)
            uv = Path(sys.executable).with_name("uv")
            self._run([str(uv), "venv", "--quiet", "--python", sys.executable, str(home)])
            self._run([str(uv), "pip", "install", "--quiet", "--python", str(python), requirement])
            complete.touch()
        return python

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S)
