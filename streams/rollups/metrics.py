"""Define the metrics of stage 2."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RECORDS: Final = Counter("tracemill_projects_records_total", "Records of deltas applied.")
DELTAS: Final = Counter("tracemill_projects_deltas_total", "Deltas applied.")
REPEATS: Final = Counter(
    "tracemill_projects_repeated_deltas_total", "Deltas that had been applied before."
)
LATE: Final = Counter(
    "tracemill_projects_late_changes_total", "Changes of windows older than the lateness horizon."
)
AHEAD: Final = Counter(
    "tracemill_projects_ahead_changes_total",
    "Changes of windows that begin in the future, because a client's clock is ahead.",
)
SET_ASIDE: Final = Counter(
    "tracemill_projects_set_aside_total",
    "Lines, deltas and rows that raised and became dead letters.",
    ["kind"],
)
RESTARTS: Final = Counter(
    "tracemill_projects_partition_restarts_total",
    "How often a partition failed and was restarted alone.",
)
LAG_RECORDS: Final = Gauge(
    "tracemill_projects_lag_records",
    "Records of deltas that are not in an acknowledged flush yet.",
    ["partition"],
)
LAG_S: Final = Gauge(
    "tracemill_projects_lag_seconds", "Age of the oldest of these records.", ["partition"]
)
PENDING: Final = Gauge(
    "tracemill_projects_pending_records", "Records waiting to be applied.", ["partition"]
)
CELLS: Final = Gauge("tracemill_projects_resident_cells", "Cells in memory.", ["partition", "kind"])
EVICTED: Final = Counter(
    "tracemill_projects_evicted_groups_total", "Groups of cells evicted from memory.", ["kind"]
)
READ_BACK: Final = Counter(
    "tracemill_projects_read_back_groups_total", "Groups read back from the store.", ["kind"]
)
READ_BACK_S: Final = Histogram(
    "tracemill_projects_read_back_seconds",
    "Time to read the groups of a batch back from the store.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STORE_RETRIES: Final = Counter(
    "tracemill_projects_store_retries_total", "Queries of the store that were repeated."
)
FLUSH_ROWS: Final = Histogram(
    "tracemill_projects_flush_rows",
    "Rows of one flush.",
    buckets=(0, 1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000),
)
FLUSH_S: Final = Histogram(
    "tracemill_projects_flush_seconds",
    "Time from the start of a flush until its checkpoint is acknowledged.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
RESTORE_S: Final = Histogram(
    "tracemill_projects_restore_seconds",
    "Time from a partition's assignment until it applies records.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
)
SEEKS: Final = Counter(
    "tracemill_projects_seeks_total", "How often the consumer was moved back to missing records."
)
LIMIT_REACHED: Final = Counter(
    "tracemill_projects_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
