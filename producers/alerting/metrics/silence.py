"""Silence: no observations arrive."""

from __future__ import annotations

from typing import Final

from producers.alerting.metric import Metric

SILENCE: Final = "silence"
"""The metric of the time since the last observation arrived."""
METRICS: Final = (
    Metric(
        name=SILENCE,
        label="Time without observations",
        about="Seconds since the last observation. The threshold is by default the window.",
        unit="s",
        aggregate="silence",
        sources=("windows", "spend"),
        of=("observations",),
    ),
)
