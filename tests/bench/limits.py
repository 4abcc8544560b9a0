"""Measure the cost of project limits per gateway request: ``python -m tests.bench.limits``."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from producers.control.auth import Principal
from producers.control.kinds.limits import Limits
from producers.control.view import ControlView
from producers.gateway.limits.project_limits import ProjectLimits
from producers.settings import LimitsSettings
from producers.usage.counts import UsageCounts

REQUESTS = 100_000
ROUNDS = 7
PRINCIPAL = Principal("p", frozenset({"ingest"}), "pk")
CASES: dict[str, dict[str, Any] | None] = {
    "no project has limits": None,
    "another project has limits": {"id": "other", "quota_events": 1},
    "a rate": {"id": "p", "events_per_s": 1e12},
    "a quota": {"id": "p", "quota_events": 10**12, "quota_bytes": 10**15},
    "rates and a quota": {
        "id": "p", "events_per_s": 1e12, "bytes_per_s": 1e14, "quota_events": 10**12,
    },
}  # fmt: skip


def limits_of(fields: dict[str, Any] | None) -> ProjectLimits:
    view = ControlView()
    if fields is not None:
        view.add(Limits(project_id=fields["id"], created_us=0, **fields))
    control = SimpleNamespace(view=view, subscribe=lambda _: None)
    return ProjectLimits(LimitsSettings(), control, UsageCounts())  # type: ignore[arg-type]


def request(limits: ProjectLimits) -> None:
    """What ``Endpoint`` does with the limits of a request of 10 events."""
    meter = limits.meter_of(PRINCIPAL)
    if meter is not None:
        meter.check(1, 1_000)
        meter.take(10, 1_000)


def us_per_request(limits: ProjectLimits) -> float:
    best_s = float("inf")
    for _ in range(ROUNDS):
        started_s = time.process_time()
        for _ in range(REQUESTS):
            request(limits)
        best_s = min(best_s, time.process_time() - started_s)
    return best_s / REQUESTS * 1e6


if __name__ == "__main__":
    for name, fields in CASES.items():
        print(f"{name:30}{us_per_request(limits_of(fields)):6.2f} µs")
