"""`tracemill store`: the embedded ClickHouse engine behind its HTTP interface."""

from __future__ import annotations

import sys
from pathlib import Path

from clickhouse.embedded.server import run_store
from clickhouse.errors import StoreError
from deploy.logs import configure_logs
from deploy.settings import ProcessSettings


def run(data_dir: Path | None, port: int) -> int:
    """Serve until SIGTERM; the exit code."""
    settings = ProcessSettings()
    configure_logs("store", level=settings.log_level)
    try:
        run_store(data_dir or settings.data_dir / "store", port)
    except StoreError as error:
        print(f"tracemill store: {error}", file=sys.stderr)
        return 1
    return 0
