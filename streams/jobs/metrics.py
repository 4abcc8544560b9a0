"""Define the metrics of jobs, by kind."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS: Final = Counter(
    "tracemill_job_attempts_total", "Attempts, by outcome.", ["kind", "outcome"]
)
ATTEMPT_S: Final = Histogram(
    "tracemill_job_attempt_seconds",
    "Duration of an attempt.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
DONE_S: Final = Histogram(
    "tracemill_job_done_seconds",
    "Time from the creation of a job until it is done.",
    ["kind"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3_600, 21_600, 86_400),
)
PENDING: Final = Gauge("tracemill_jobs_pending", "Jobs that have not ended.", ["kind"])
RUNNING: Final = Gauge("tracemill_jobs_running", "Running attempts.", ["kind"])
OPEN_CIRCUITS: Final = Gauge(
    "tracemill_jobs_open_circuits", "Targets that receive only probes.", ["kind"]
)
CIRCUIT_CHANGES: Final = Counter(
    "tracemill_jobs_circuit_changes_total", "How often a circuit opened or closed.", ["kind", "to"]
)
EXHAUSTED: Final = Counter(
    "tracemill_jobs_exhausted_total", "Jobs whose retries all failed: dead letters.", ["kind"]
)
SET_ASIDE: Final = Counter(
    "tracemill_jobs_set_aside_total",
    "Jobs and records that raised and became dead letters.",
    ["kind", "what"],
)
RESTARTS: Final = Counter(
    "tracemill_job_runner_restarts_total", "How often a runner failed and was restarted.", ["kind"]
)
LIMIT_REACHED: Final = Counter(
    "tracemill_jobs_limit_reached_total",
    "How often a named limit was reached.",
    ["kind", "limit"],
)


class JobMetrics:
    """The metrics of one kind; kinds with metrics of their own override methods."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def attempted(self, outcome: str, seconds: float) -> None:
        ATTEMPTS.labels(self._kind, outcome).inc()
        ATTEMPT_S.labels(self._kind).observe(seconds)

    def done(self, age_s: float) -> None:
        DONE_S.labels(self._kind).observe(age_s)

    def queued(self, pending: int, running: int) -> None:
        PENDING.labels(self._kind).set(pending)
        RUNNING.labels(self._kind).set(running)

    def open_circuits(self, count: int) -> None:
        OPEN_CIRCUITS.labels(self._kind).set(count)

    def circuit_changed(self, to: str) -> None:
        """Count a circuit that was ``opened`` or ``closed``."""
        CIRCUIT_CHANGES.labels(self._kind, to).inc()

    def exhausted(self) -> None:
        EXHAUSTED.labels(self._kind).inc()

    def set_aside(self, what: str) -> None:
        """Count a ``job`` or ``record`` that became a dead letter because of an exception."""
        SET_ASIDE.labels(self._kind, what).inc()

    def restarted(self) -> None:
        RESTARTS.labels(self._kind).inc()

    def limit_reached(self, limit: str) -> None:
        """Count a limit under the name of its field in ``JobSettings``."""
        LIMIT_REACHED.labels(self._kind, limit).inc()
