"""Define the metrics of the quarantine."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

QUARANTINED: Final = Counter(
    "tracemill_quarantine_records_total",
    "Records or events that were quarantined because they crashed a worker.",
    ["stage"],
)
ENTRIES: Final = Gauge(
    "tracemill_quarantine_entries", "Records in quarantine, by state.", ["state"]
)
UNCLEAN_ENDS: Final = Counter(
    "tracemill_quarantine_unclean_ends_total",
    "Partitions whose previous worker ended uncleanly.",
    ["stage"],
)
TRIALS: Final = Counter(
    "tracemill_quarantine_trials_total", "Inputs tried in a child process.", ["outcome"]
)
LIMIT_REACHED: Final = Counter(
    "tracemill_quarantine_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
