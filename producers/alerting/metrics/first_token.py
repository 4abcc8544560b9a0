"""Time to the first token of streaming calls, in seconds. The bins count microseconds."""

from __future__ import annotations

from typing import Final

from producers.alerting.distributions import distribution

METRICS: Final = distribution(
    "ttft", "Time to first token", "time to the first token", "s", "ttft_bins"
)
