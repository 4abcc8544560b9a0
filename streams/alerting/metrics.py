"""Define the metrics of the alerting stage."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

DELTAS: Final = Counter("tracemill_alerting_deltas_total", "Deltas applied.")
REPEATS: Final = Counter(
    "tracemill_alerting_repeated_deltas_total", "Deltas that had been applied before."
)
UNREADABLE: Final = Counter(
    "tracemill_alerting_unreadable_lines_total",
    "Lines of deltas that cannot be decoded; stage 2 writes their dead letters.",
)
FAILURES: Final = Counter(
    "tracemill_alerting_evaluator_failures_total",
    "Calls of an evaluator that raised.",
    ["evaluator"],
)
ALERTS: Final = Counter("tracemill_alerting_alerts_total", "Alerts sent.", ["event"])
STATES: Final = Counter("tracemill_alerting_states_total", "States written.", ["evaluator"])
LATENCY_S: Final = Histogram(
    "tracemill_alerting_alert_seconds",
    "Time from the append of the newest applied delta until its alerts are acknowledged.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
FLUSH_S: Final = Histogram(
    "tracemill_alerting_flush_seconds",
    "Time from the start of a flush until its checkpoint is acknowledged.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
RESTORE_S: Final = Histogram(
    "tracemill_alerting_restore_seconds",
    "Time to restore the states of a partition.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SPEND_READS: Final = Counter(
    "tracemill_alerting_spend_reads_total",
    "Readings of the stored spend of a budget's period, by outcome.",
    ["outcome"],
)
RESTARTS: Final = Counter(
    "tracemill_alerting_restarts_total",
    "How often a partition, or the membership in the consumer group, failed and was restarted.",
)
READER_RESTARTS: Final = Counter(
    "tracemill_alerting_reader_restarts_total",
    "How often a task that reads for rules and budgets failed unexpectedly and was restarted.",
    ["reader"],
)
LAG_RECORDS: Final = Gauge(
    "tracemill_alerting_lag_records",
    "Records of deltas that are not in an acknowledged flush yet.",
    ["partition"],
)
LAG_S: Final = Gauge(
    "tracemill_alerting_lag_seconds", "Age of the oldest of these records.", ["partition"]
)
LIMIT_REACHED: Final = Counter(
    "tracemill_alerting_limit_reached_total", "How often a limit was reached.", ["limit"]
)
HISTORY_RECORDS: Final = Counter(
    "tracemill_alerting_history_records_total", "Records of deltas read again for rules."
)
HISTORY_FAILURES: Final = Counter(
    "tracemill_alerting_history_failures_total", "Failures of reading older deltas, retried."
)
ROW_RECORDS: Final = Counter(
    "tracemill_alerting_row_records_total", "Records of rows read for rules about single ones."
)
ROW_FAILURES: Final = Counter(
    "tracemill_alerting_row_failures_total", "Failures of reading rows, retried."
)
EARLIER_FAILURES: Final = Counter(
    "tracemill_alerting_earlier_failures_total", "Queries of earlier windows that failed, retried."
)
