"""Run an installation in a directory of its own, which is removed afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fixtures.installation import Server, running_server


@contextmanager
def temporary_server(**environment: str) -> Iterator[Server]:
    """Provide a running installation with these variables."""
    root = Path(tempfile.mkdtemp(prefix="tracemill-bench-"))
    try:
        with running_server(root / "data", **environment) as server:
            yield server
    finally:
        shutil.rmtree(root, ignore_errors=True)
