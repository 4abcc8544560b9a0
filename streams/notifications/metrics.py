"""Define the metrics of webhook deliveries, in addition to those of all kinds of jobs."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from streams.jobs.metrics import JobMetrics

ATTEMPTS: Final = Counter("tracemill_webhook_attempts_total", "Attempts, by outcome.", ["outcome"])
ATTEMPT_S: Final = Histogram(
    "tracemill_webhook_attempt_seconds",
    "Duration of an attempt.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
DELIVERY_S: Final = Histogram(
    "tracemill_webhook_delivery_seconds",
    "Time from an alert until its delivery.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3_600, 21_600, 86_400),
)
PENDING: Final = Gauge("tracemill_webhook_pending_deliveries", "Deliveries that have not ended.")
RUNNING: Final = Gauge("tracemill_webhook_running_attempts", "Running attempts.")
EXHAUSTED: Final = Counter(
    "tracemill_webhook_exhausted_total", "Deliveries that became dead letters."
)
SET_ASIDE: Final = Counter(
    "tracemill_notifier_set_aside_total",
    "Alerts and deliveries that raised and became dead letters.",
    ["kind"],
)
RESTARTS: Final = Counter(
    "tracemill_notifier_restarts_total", "How often the notifier failed and was restarted."
)
DISABLED: Final = Counter(
    "tracemill_webhook_disabled_total", "Webhooks disabled because of status 410."
)
LIMIT_REACHED: Final = Counter(
    "tracemill_notifier_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
_SETTING_OF_LIMIT: Final = {
    "attempts_per_target_max": "attempts_per_endpoint_max",
    "age_max_h": "alert_age_max_h",
}


class DeliveryMetrics(JobMetrics):
    """The metrics of jobs, which are also counted under the names of earlier versions."""

    def done(self, age_s: float) -> None:
        super().done(age_s)
        DELIVERY_S.observe(age_s)

    def queued(self, pending: int, running: int) -> None:
        super().queued(pending, running)
        PENDING.set(pending)
        RUNNING.set(running)

    def exhausted(self) -> None:
        super().exhausted()
        EXHAUSTED.inc()

    def set_aside(self, what: str) -> None:
        super().set_aside(what)
        SET_ASIDE.labels("delivery" if what == "job" else what).inc()

    def restarted(self) -> None:
        super().restarted()
        RESTARTS.inc()

    def limit_reached(self, limit: str) -> None:
        super().limit_reached(limit)
        LIMIT_REACHED.labels(_SETTING_OF_LIMIT.get(limit, limit)).inc()
