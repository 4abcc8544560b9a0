"""Tokens: the total of a window, and those of each call."""

from __future__ import annotations

from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="tokens",
        label="Number of tokens",
        about="Number of tokens; `usage_type` selects types, such as `input`.",
        unit="tokens",
        aggregate="sum",
        sources=("windows", "spend"),
        of=("usage",),
        only_grows=True,
        filters=("usage_type",),
        is_calendar=True,
    ),
    Metric(
        name="call_tokens",
        label="Number of tokens of a call",
        about="Tokens of a single call; `usage_type` selects types. It has no window.",
        unit="tokens",
        aggregate="each",
        sources=("observations",),
        of=("usage",),
        only_grows=True,
        filters=("usage_type",),
    ),
)
