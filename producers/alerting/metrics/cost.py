"""Cost in US dollars: of a window, and of single traces and sessions."""

from __future__ import annotations

from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="cost",
        label="Cost",
        about="Cost of the window. A window of `1d` is the calendar day of `time_zone`.",
        unit="USD",
        aggregate="sum",
        sources=("windows", "spend"),
        of=("cost_pico",),
        only_grows=True,
        is_calendar=True,
    ),
    Metric(
        name="trace_cost",
        label="Cost of a trace",
        about="Cost of a single trace. It has no window.",
        unit="USD",
        aggregate="each",
        sources=("traces",),
        of=("total_cost_pico",),
        only_grows=True,
    ),
    Metric(
        name="session_cost",
        label="Cost of a session",
        about="Cost of a single session in the window.",
        unit="USD",
        aggregate="sum",
        sources=("spend",),
        of=("cost_pico",),
        only_grows=True,
        is_calendar=True,
        group=("session_id",),
    ),
)
