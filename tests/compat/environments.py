"""Virtual environments with the libraries of a test, kept between runs."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fixtures.shared_cache import cache_dir, made_by_one

INSTALL_TIMEOUT_S = 300


class Environments:
    """Makes an environment per list of requirements, below the user's cache directory."""

    def __init__(self) -> None:
        self._root = cache_dir("sdk-environments")

    def python(self, *requirements: str) -> Path:
        """The interpreter of the environment that holds ``requirements``."""
        name = re.sub(r"[^A-Za-z0-9.]+", "-", requirements[0])
        if len(requirements) > 1:
            name += f"-{hashlib.sha256(' '.join(requirements).encode()).hexdigest()[:12]}"
        home = self._root / name
        python = home / "bin" / "python"
        complete = home / "complete"
        with made_by_one(home):
            if not complete.exists():
                shutil.rmtree(home, ignore_errors=True)
                uv = Path(sys.executable).with_name("uv")
                self._run([str(uv), "venv", "--quiet", "--python", sys.executable, str(home)])
                install = [str(uv), "pip", "install", "--quiet", "--python", str(python)]
                self._run([*install, *requirements])
                complete.touch()
        return python

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S)
