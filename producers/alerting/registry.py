"""The registry of metrics.

A module in ``producers.alerting.metrics`` defines ``METRICS``, a tuple. The API validates rules
with the registry, and the stream processors evaluate them with it.
"""

from __future__ import annotations

from typing import Final

from producers.alerting import metrics
from producers.alerting.metric import Metric
from producers.registration import ByName, modules_in


class Metrics(ByName[Metric]):
    """Metrics by name."""

    def __init__(self, *found: Metric) -> None:
        """Register metrics.

        Raises:
            ValueError: two metrics have the same name.
        """
        super().__init__("metrics", ((each.name, each) for each in found))

    def including(self, *more: Metric) -> Metrics:
        """Return a registry with additional metrics."""
        return Metrics(*self.values(), *more)


METRICS: Final = Metrics(*(each for module in modules_in(metrics) for each in module.METRICS))
"""All metrics of this version."""
