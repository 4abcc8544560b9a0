"""Hits of caches: those of applications, and those of prompts."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="cache_hit_ratio",
        label="Cache hit ratio",
        about="Share of look-ups that an application's exact or semantic cache answered, from 0 to"
        " 1.",
        unit="ratio",
        aggregate="share",
        of=("cache_exact", "cache_semantic"),
        per=("cache_exact", "cache_semantic", "cache_miss"),
        highest=Decimal(1),
    ),
    Metric(
        name="prompt_cache_hit_ratio",
        label="Prompt cache hit ratio",
        about="Share of input tokens that providers read from their caches, from 0 to 1.",
        unit="ratio",
        aggregate="share",
        of=("cached_input_tokens",),
        per=("input_tokens",),
        has_earlier=False,
        highest=Decimal(1),
    ),
)
