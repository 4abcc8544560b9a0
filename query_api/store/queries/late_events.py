"""Query observations that were received, or last changed, long after they began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

VERSION_SHIFT: Final = 20
"""A version is the time of its record in milliseconds, shifted left by this number of bits."""


@dataclass(frozen=True, slots=True)
class FindLateEvents(StoreQuery):
    """Select observations whose last event was received ``late_ms`` or more after their start.

    They begin from ``from_us`` to ``to_us`` (exclusive), and are sorted by start, the latest first.
    With ``below``, a ``(start_us, id)``, only earlier ones are selected; of equal times, those with
    a lower id.
    """

    name: ClassVar[str] = "find_late_events"
    from_us: int = 0
    to_us: int = 0
    late_ms: int = 0
    limit: int = 50
    below: tuple[int, str] | None = None

    def write(self, binder: Binder) -> str:
        page = ""
        if self.below is not None:
            start = binder.instant(self.below[0])
            page = (
                f"\n  AND start_time <= {start}"
                f"\n  AND (start_time, id) < ({start}, {binder.text(self.below[1])})"
            )
        return (
            f"WITH toInt64(bitShiftRight(row_version, {VERSION_SHIFT})) AS received_ms\n"
            "SELECT id, trace_id, type, name, model, environment,"
            " toString(total_cost) AS cost_usd,\n"
            "  toUnixTimestamp64Micro(start_time) AS start_us,\n"
            "  received_ms * 1000 AS received_us\n"
            f"FROM observations_slim FINAL\nWHERE {OF_PROJECT}\n"
            f"  AND start_time >= {binder.instant(self.from_us)}\n"
            f"  AND start_time < {binder.instant(self.to_us)}{page}\n"
            f"  AND received_ms - toUnixTimestamp64Milli(start_time)"
            f" >= {binder.bind(self.late_ms, 'Int64')}\n"
            "ORDER BY start_time DESC, id DESC\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )
