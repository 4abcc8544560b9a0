"""Output tokens per second of calls. The bins count thousandths of a token per second."""

from __future__ import annotations

from typing import Final

from producers.alerting.distributions import distribution

METRICS: Final = distribution(
    "tokens_per_s",
    "Output tokens per second",
    "output tokens per second of calls",
    "tokens_per_s",
    "rate_bins",
)
