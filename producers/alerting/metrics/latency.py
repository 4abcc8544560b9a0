"""Latency of observations, in seconds. The bins count microseconds."""

from __future__ import annotations

from typing import Final

from producers.alerting.distributions import distribution

METRICS: Final = distribution("latency", "Latency", "latency of observations", "s", "latency_bins")
