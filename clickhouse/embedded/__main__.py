"""Run the embedded store without a supervisor: ``python -m clickhouse.embedded DATA_DIR PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

from clickhouse.embedded.server import run_store
from clickhouse.errors import StoreError

if __name__ == "__main__":
    try:
        run_store(Path(sys.argv[1]), int(sys.argv[2]))
    except StoreError as error:
        sys.exit(f"tracemill store: {error}")
