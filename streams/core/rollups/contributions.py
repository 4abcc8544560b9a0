"""What one source record changes in windows and spend, added up: one ``Delta`` per project."""

from __future__ import annotations

from collections.abc import Mapping

from streams.core.observations.limits import DELTA_USAGE_TYPES_MAX
from streams.core.observations.state import ERROR, Known
from streams.core.observations.traces import BUCKET_S, BUCKET_US, SpentCell
from streams.core.rollups.amounts import add_amounts
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta
from streams.core.rollups.sketch import key_of

MINUTE_S = 60
MINUTE_US = MINUTE_S * 1_000_000

_WindowKey = tuple[int, str, str, str]
_SpendKey = tuple[int, str, str, str]


class DeltaBook:
    """The deltas of one project within one source record."""

    __slots__ = ("_spend", "_windows")

    def __init__(self) -> None:
        self._windows: dict[_WindowKey, WindowDelta] = {}
        self._spend: dict[_SpendKey, SpendDelta] = {}

    def count(self, known: Known, sign: int) -> None:
        """An observation enters its window (+1) or leaves it (−1)."""
        start_us, end_us = known.start_us, known.end_us
        key = (
            start_us // MINUTE_US * MINUTE_S,
            known.environment,
            known.model,
            known.name,
        )
        cell = self._windows.get(key)
        if cell is None:
            cell = self._windows[key] = WindowDelta(*key, 0, 0, 0, {}, {})
        cell.observations += sign
        if known.severity == ERROR:
            cell.errors += sign
        cell.cost_pico += sign * known.cost_pico
        if known.usage:
            usage = cell.usage
            if len(usage) + len(known.usage) > DELTA_USAGE_TYPES_MAX:
                add_amounts(usage, known.usage, sign, DELTA_USAGE_TYPES_MAX)
            else:
                for usage_type, count in known.usage.items():
                    usage[usage_type] = usage.get(usage_type, 0) + sign * count
        if end_us:
            bins = cell.latency_bins
            latency_key = key_of(end_us - start_us)
            bins[latency_key] = bins.get(latency_key, 0) + sign

    def spend(self, known: Known, sign: int, user_id: str, trace_id: str) -> None:
        """Its cost enters what a user spent (+1) or leaves it (−1)."""
        if not known.cost_pico:
            return
        bucket_s = known.start_us // BUCKET_US * BUCKET_S
        key = (bucket_s, user_id, known.model, known.environment)
        cell = self._spend.get(key)
        if cell is None:
            self._spend[key] = SpendDelta(*key, sign * known.cost_pico, trace_id)
        else:
            cell.cost_pico += sign * known.cost_pico
            cell.trace_id = trace_id

    def hand_over(
        self, spent: Mapping[SpentCell, int], old_user_id: str, new_user_id: str, trace_id: str
    ) -> None:
        """Re-attribute spend to another user."""
        for (bucket_s, model, environment), pico in spent.items():
            self._move((bucket_s, old_user_id, model, environment), -pico, trace_id)
            self._move((bucket_s, new_user_id, model, environment), pico, trace_id)

    def _move(self, key: _SpendKey, pico: int, trace_id: str) -> None:
        cell = self._spend.get(key)
        if cell is None:
            self._spend[key] = SpendDelta(*key, pico, trace_id)
        else:
            cell.cost_pico += pico
            cell.trace_id = trace_id

    def delta(self, project_id: str, partition: int, offset: int) -> Delta | None:
        """What remains when changes that cancel out are gone; nothing if all did."""
        windows = [cell for cell in self._windows.values() if _changes(cell)]
        spend = [cell for cell in self._spend.values() if cell.cost_pico]
        if not windows and not spend:
            return None
        return Delta(project_id, partition, offset, windows, spend)


def _changes(cell: WindowDelta) -> bool:
    if cell.observations > 0:
        return True
    cell.usage = {key: count for key, count in cell.usage.items() if count}
    cell.latency_bins = {key: count for key, count in cell.latency_bins.items() if count}
    return bool(
        cell.observations or cell.errors or cell.cost_pico or cell.usage or cell.latency_bins
    )
