"""Read how often limits were reached in this process."""

from __future__ import annotations

from typing import Final

import msgspec
from prometheus_client import REGISTRY

_COUNTERS: Final = (
    "_limit_reached",
    "_limits_reached",
    "_over_limit",
    "_events_refused",
    "_values_dropped",
)
"""Ends of the names of counters of limits, and of what was refused or dropped."""
_PREFIX: Final = "tracemill_"


class LimitReached(msgspec.Struct, frozen=True, kw_only=True):
    counter: str
    """Name of the counter in the metrics of the process, without `tracemill_`."""
    limit: str
    """The limit, field or reason."""
    count: int


def limits_reached() -> list[LimitReached]:
    """Return the counters that are not zero, the highest first."""
    found = [
        LimitReached(
            counter=family.name.removeprefix(_PREFIX),
            limit=", ".join(sample.labels.values()),
            count=int(sample.value),
        )
        for family in REGISTRY.collect()
        if family.name.startswith(_PREFIX) and family.name.endswith(_COUNTERS)
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value > 0
    ]
    return sorted(found, key=lambda each: (-each.count, each.counter, each.limit))
