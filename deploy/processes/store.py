"""Run `tracemill store`: the embedded ClickHouse engine behind its HTTP interface."""

from __future__ import annotations

import sys
from pathlib import Path

from clickhouse.embedded.access import configured_passwords
from clickhouse.embedded.server import run_store
from clickhouse.errors import StoreError
from clickhouse.settings import EmbeddedStoreSettings, StoreSettings
from deploy.directories import absolute
from deploy.embedded.credentials import ensure_credentials
from deploy.errors import DeployError
from deploy.logs import configure_logs
from deploy.settings import ProcessSettings


def run(data_dir: Path | None, port: int) -> int:
    """Run the store until SIGTERM; return the exit code."""
    settings = ProcessSettings()
    configure_logs("store", level=settings.log_level)
    try:
        embedded = _with_passwords(data_dir or settings.data_dir)
        run_store(data_dir or settings.data_dir / "store", port, embedded=embedded)
    except (StoreError, DeployError) as error:
        print(f"tracemill store: {error}", file=sys.stderr)
        return 1
    return 0


def _with_passwords(data_dir: Path) -> EmbeddedStoreSettings:
    """Return settings with the passwords in the environment, or else in the data directory."""
    embedded = EmbeddedStoreSettings()
    if configured_passwords(StoreSettings(), embedded):
        return embedded
    found = ensure_credentials(absolute(data_dir))
    return embedded.model_copy(
        update={
            "ingest_password": found.store_ingest,
            "query_password": found.store_query,
            "migrate_password": found.store_migrate,
        }
    )
