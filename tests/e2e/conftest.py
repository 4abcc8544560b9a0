"""The command line of the installation that tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.fixtures.installation import Server

WITHIN_S = 60.0
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def cli(installation: Server) -> Cli:
    data_dir = str(installation.data_dir)

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy", *words],
            env={**os.environ, "TRACEMILL_DATA_DIR": data_dir, **environment},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run
