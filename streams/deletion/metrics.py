"""Define the metrics of deleting projects."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

DELETED_ROWS: Final = Counter(
    "tracemill_deletion_rows_total", "Rows of deleted projects that were removed.", ["table"]
)
DELETED_RECORDS: Final = Counter(
    "tracemill_deletion_control_records_total",
    "Control records of deleted projects that were removed.",
    ["kind"],
)
DELETED_LOG_RECORDS: Final = Counter(
    "tracemill_deletion_log_records_total",
    "Records of deleted projects that were removed from compacted topics.",
    ["topic"],
)
FAILURES: Final = Counter(
    "tracemill_deletion_failures_total",
    "How often a step failed because of the store, the broker or the control plane.",
)
LIMIT_REACHED: Final = Counter(
    "tracemill_deletion_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
