"""Define the sink's metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

FETCHES: Final = Counter("tracemill_sink_fetches_total", "Fetches that returned rows.")
ROWS_READ: Final = Counter(
    "tracemill_sink_rows_read_total", "Rows read from the topic of a table.", ["table"]
)
ROWS_WRITTEN: Final = Counter(
    "tracemill_sink_rows_written_total", "Rows accepted by the store.", ["table"]
)
BYTES_WRITTEN: Final = Counter(
    "tracemill_sink_bytes_written_total", "Bytes of the rows accepted by the store.", ["table"]
)
BATCHES: Final = Counter("tracemill_sink_batches_total", "Batches that were stored.", ["table"])
BATCH_BYTES: Final = Histogram(
    "tracemill_sink_batch_bytes",
    "Bytes of a batch.",
    ["table"],
    buckets=(1e3, 1e4, 1e5, 5e5, 1e6, 2e6, 4e6, 8e6, 1.6e7),
)
INSERT_S: Final = Histogram("tracemill_sink_insert_seconds", "Duration of an insert.", ["table"])
RETRIES: Final = Counter("tracemill_sink_retries_total", "Inserts that were retried.", ["table"])
REFUSED_ROWS: Final = Counter(
    "tracemill_sink_refused_rows_total",
    "Rows that the store refused; they became dead letters.",
    ["table"],
)
ROWS_DROPPED: Final = Counter(
    "tracemill_sink_rows_dropped_total",
    "Rows that were dropped because their project is deleted.",
    ["table"],
)
DEAD_LETTERS_DROPPED: Final = Counter(
    "tracemill_sink_letters_dropped_total",
    "Dead letters without payload that the store refused; they remain in the topic.",
)
LAG_RECORDS: Final = Gauge(
    "tracemill_sink_lag_records",
    "Records of a topic/partition that are not stored; NaN while the broker does not respond.",
    ["topic"],
)
LAG_S: Final = Gauge(
    "tracemill_sink_lag_seconds", "Age of the oldest row that was read but not stored.", ["table"]
)
LIMIT_REACHED: Final = Counter(
    "tracemill_sink_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
