"""Define the metrics of this package."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS_S: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)

LIMIT_REACHED = Counter(
    "tracemill_producers_limit_reached_total", "How often a named limit was reached.", ["limit"]
)

DISK_FREE_BYTES = Gauge(
    "tracemill_disk_free_bytes", "Free space of a watched disk, by directory.", ["path"]
)
DISK_LOW = Gauge(
    "tracemill_disk_low", "1 while a disk has too little space to accept new data.", ["path"]
)

REQUESTS = Counter(
    "tracemill_gateway_requests_total",
    "Responses, by route and status.",
    ["route", "status"],
)
REQUEST_SECONDS = Histogram(
    "tracemill_gateway_request_seconds",
    "Time from the head of a request to its response.",
    ["route"],
    buckets=_LATENCY_BUCKETS_S,
)
BODY_BYTES = Counter(
    "tracemill_gateway_body_bytes_total", "Body bytes read, after decompression.", ["route"]
)
IN_FLIGHT_BYTES = Gauge(
    "tracemill_gateway_in_flight_bytes", "Size of the decompressed bodies of requests in progress."
)
EVENTS_IN = Counter(
    "tracemill_gateway_events_total", "Events accepted (acknowledged by the broker).", ["kind"]
)
EVENTS_REFUSED = Counter(
    "tracemill_gateway_events_refused_total",
    "Events and spans that were refused, by reason.",
    ["reason"],
)
OVER_LIMIT = Counter(
    "tracemill_gateway_over_limit_total",
    "Requests refused with 429 because their project exceeds a limit, by limit.",
    ["limit"],
)
EVENTS_UNPLACED = Counter(
    "tracemill_gateway_events_unplaced_total",
    "Events without a trace id, of an observation that is not in this gateway's cache.",
)
VALUES_DROPPED = Counter(
    "tracemill_gateway_values_dropped_total",
    "Implausible values that were dropped from accepted events, by field.",
    ["field"],
)
NUMBERS_QUOTED = Counter(
    "tracemill_gateway_numbers_quoted_total",
    "Numbers in JSON beyond the range of doubles, which were kept as strings.",
)
PROCESSING_FAILURES = Counter(
    "tracemill_gateway_processing_failures_total",
    "Unexpected exceptions, by source. Each one rejects the item that caused it.",
    ["source"],
)
DEAD_LETTERS = Counter(
    "tracemill_gateway_dead_letters_total", "Dead letters written, by reason.", ["reason"]
)

PENDING_BYTES = Gauge(
    "tracemill_publisher_pending_bytes", "Size of lines that the broker has not acknowledged."
)
PRODUCE_SECONDS = Histogram(
    "tracemill_publisher_produce_seconds",
    "Time from sending a record to the broker's acknowledgement.",
    buckets=_LATENCY_BUCKETS_S,
)
RECORD_EVENTS = Histogram(
    "tracemill_publisher_record_events",
    "Number of lines in a record.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000),
)
PRODUCE_FAILURES = Counter(
    "tracemill_publisher_failures_total",
    "Records that the broker did not accept; their requests failed.",
)

CONTROL_LAG_RECORDS = Gauge(
    "tracemill_control_lag_records", "Records of the control-plane log that were not read yet."
)
USAGE_LAG_RECORDS = Gauge(
    "tracemill_usage_lag_records", "Records of other gateways' usage that were not read yet."
)
TIERS_LAG_RECORDS: Final = Gauge(
    "tracemill_tiers_lag_records", "Records of users' tiers that were not read yet."
)
TIERS_UNREADABLE: Final = Counter(
    "tracemill_tiers_unreadable_total", "Records of users' tiers that this version cannot read."
)
DOCUMENTS_LAG_RECORDS: Final = Gauge(
    "tracemill_documents_lag_records", "Records of documents that were not read yet."
)
DOCUMENTS_TAIL_BYTES: Final = Gauge(
    "tracemill_documents_tail_bytes",
    "Memory of documents that the store may not have, or that were written recently.",
)
DOCUMENTS_UNREADABLE: Final = Counter(
    "tracemill_documents_unreadable_total", "Records of documents that this version cannot read."
)
LOG_RECONNECTS = Counter(
    "tracemill_log_reconnects_total",
    "How often a reader of a whole topic reconnected, by topic.",
    ["topic"],
)
LOG_TRUNCATIONS = Counter(
    "tracemill_log_truncations_total",
    "How often a reader's next offset was no longer in the topic, by topic.",
    ["topic"],
)
CONTROL_WRITES_REPEATED: Final = Counter(
    "tracemill_control_writes_repeated_total",
    "Writes to the control-plane log that were repeated because another process wrote first.",
)
CONTROL_UNREADABLE = Counter(
    "tracemill_control_unreadable_total",
    "Control records that this version could not read or process.",
)

CLOCK_SKEW_S = Gauge(
    "tracemill_clock_skew_seconds",
    "Seconds that this machine's clock is ahead of the broker's; negative: behind.",
)
