"""Define the metrics of deleting projects and traces."""

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
DELETED_SCORES: Final = Counter(
    "tracemill_deletion_scores_total", "Scores of deleted traces that were deleted."
)
ERASED_PARTITIONS: Final = Counter(
    "tracemill_deletion_erased_partitions_total",
    "Partitions that were rewritten without the rows of deleted traces.",
    ["table"],
)
FAILURES: Final = Counter(
    "tracemill_deletion_failures_total",
    "How often a step failed because of the store, the broker or the control plane.",
)
LIMIT_REACHED: Final = Counter(
    "tracemill_deletion_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
