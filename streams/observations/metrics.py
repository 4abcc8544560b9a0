"""Define the metrics of stage 1."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)

EVENTS_IN = Counter("tracemill_observations_events_total", "Events folded.")
UNCHANGED = Counter(
    "tracemill_observations_unchanged_total",
    "Events that changed nothing: duplicates, and updates older than merged ones.",
)
TRACES_DELETED = Counter("tracemill_observations_traces_deleted_total", "Traces deleted.")
OF_DELETED_TRACES = Counter(
    "tracemill_observations_of_deleted_traces_total",
    "Events that were dropped because their trace was deleted before.",
)
SKIPPED = Counter(
    "tracemill_observations_skipped_records_total",
    "Source records that were already processed when the partition was assigned.",
)
ROWS_OUT = Counter("tracemill_observations_rows_total", "Rows written, by table.", ["table"])
DELTAS_OUT = Counter("tracemill_observations_deltas_total", "Deltas written.")
UNPRICED = Counter("tracemill_observations_unpriced_total", "Observations without a known price.")
COST_DIFFERS = Counter(
    "tracemill_observations_cost_differs_total",
    "Observations whose given cost differs by more than 10 % from the computed one.",
)
PRICES_IGNORED = Gauge(
    "tracemill_observations_prices_ignored",
    "Price records that are ignored because their patterns are invalid.",
)
VALUES_DROPPED = Counter(
    "tracemill_observations_values_dropped_total",
    "Values dropped because another one contradicts them: first tokens outside their observation.",
    ["field"],
)
DEAD_LETTERS = Counter(
    "tracemill_observations_dead_letters_total", "Dead letters written, by reason.", ["reason"]
)
FOLD_RETRIES = Counter(
    "tracemill_observations_fold_retries_total",
    "Attempts to fold a chunk that failed because an event raised.",
)
UNREADABLE_ROWS = Counter(
    "tracemill_observations_unreadable_rows_total",
    "Rows of this stage's output that could not be decoded when a partition was assigned.",
)
LAG_RECORDS = Gauge(
    "tracemill_observations_lag_records",
    "Source records whose rows are not acknowledged yet.",
    ["partition"],
)
LAG_S = Gauge(
    "tracemill_observations_lag_seconds", "Age of the oldest of these records.", ["partition"]
)
CHUNK_EVENTS = Histogram(
    "tracemill_observations_chunk_events", "Events of one chunk.", buckets=_SIZES
)
FOLD_S = Histogram(
    "tracemill_observations_fold_seconds",
    "Time to fold and encode one chunk.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)
WRITE_S = Histogram(
    "tracemill_observations_write_seconds",
    "Time from folding a chunk until its rows are acknowledged.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
READ_BACK = Counter("tracemill_observations_read_back_total", "Traces read back from the store.")
READ_BACK_S = Histogram(
    "tracemill_observations_read_back_seconds",
    "Time to read traces back from the store, including the wait for the sink.",
)
DEFERRED = Counter(
    "tracemill_observations_deferred_total",
    "Events deferred because their trace had to be read from the store, which did not answer.",
)
TRACES_LOGGED = Counter(
    "tracemill_observations_traces_logged_total", "Traces written to the log of traces."
)
RESTORED = Counter(
    "tracemill_observations_restored_total", "Traces restored when partitions were assigned."
)
RESIDENT = Gauge(
    "tracemill_observations_resident", "Observations and traces in memory.", ["partition"]
)
EVICTED = Counter("tracemill_observations_evicted_total", "Traces evicted from memory.")
LIMIT_REACHED = Counter(
    "tracemill_observations_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
