"""Add up how one source record changes windows and spend, as one ``Delta`` per project."""

from __future__ import annotations

from collections.abc import Iterable

from streams.core.dimensions.keys import StartedKey, spend_key_of_own, window_key
from streams.core.dimensions.sources import TraceValues
from streams.core.observations.limits import DELTA_USAGE_TYPES_MAX
from streams.core.observations.state import ERROR, ObservationState
from streams.core.rollups.amounts import add_amounts
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta, new_spend, new_window
from streams.core.rollups.measures import (
    count_caches,
    count_error,
    count_first_token,
    count_rate,
    drop_zeros,
    has_measures,
)
from streams.core.rollups.sketch import key_of
from streams.core.rollups.spend_amounts import OwnSpend, SpendAmounts


class DeltaBook:
    """The changes that one source record makes to the windows and spend of one project."""

    __slots__ = ("_spend", "_windows")

    def __init__(self) -> None:
        self._windows: dict[StartedKey, WindowDelta] = {}
        self._spend: dict[StartedKey, SpendDelta] = {}

    def count(  # noqa: C901, PLR0912  # hot path
        self, state: ObservationState, sign: int, values: TraceValues, trace_id: str
    ) -> None:
        """Add an observation to its window (+1), or remove it (−1)."""
        key = window_key(state, values)
        cell = self._windows.get(key)
        if cell is None:
            cell = self._windows[key] = new_window(key)
        cell.observations += sign
        if sign > 0:
            cell.trace_id = trace_id
        if state.severity == ERROR:
            cell.errors += sign
            count_error(cell, state.error_type, sign)
        if state.cost_pico:
            cell.cost_pico += sign * state.cost_pico
        if state.usage:
            usage = cell.usage
            if len(usage) + len(state.usage) > DELTA_USAGE_TYPES_MAX:
                add_amounts(usage, state.usage, sign, DELTA_USAGE_TYPES_MAX)
            else:
                for usage_type, count in state.usage.items():
                    usage[usage_type] = usage.get(usage_type, 0) + sign * count
        if state.end_us:
            bins = cell.latency_bins
            latency_key = key_of(state.end_us - state.start_us)
            bins[latency_key] = bins.get(latency_key, 0) + sign
            if state.usage:
                count_rate(cell, state, sign)
        if state.first_us:
            count_first_token(cell, state, sign)
        if state.app_cache or state.saved_pico:
            count_caches(cell, state, sign)
        if state.cost_source == "unpriced" and state.is_unpriced:
            cell.unpriced += sign

    def spend(self, spend: OwnSpend, values: TraceValues, trace_id: str, sign: int = 1) -> None:
        """Add spend of a trace to its cells (+1), or remove it (−1)."""
        for cell, amounts in spend.items():
            self._add(spend_key_of_own(cell, values), amounts, sign, trace_id)

    def move_spend(
        self, spend: OwnSpend, old: TraceValues, new: TraceValues, trace_id: str
    ) -> None:
        """Re-attribute spend of a trace when its dimension values change."""
        for cell, amounts in spend.items():
            old_key, new_key = spend_key_of_own(cell, old), spend_key_of_own(cell, new)
            if old_key != new_key:
                self._add(old_key, amounts, -1, trace_id)
                self._add(new_key, amounts, 1, trace_id)

    def move_windows(
        self,
        observations: Iterable[ObservationState],
        old: TraceValues,
        new: TraceValues,
        trace_id: str,
    ) -> None:
        """Re-attribute the observations of a trace when its dimension values change."""
        for state in observations:
            if window_key(state, old) != window_key(state, new):
                self.count(state, -1, old, trace_id)
                self.count(state, 1, new, trace_id)

    def _add(self, key: StartedKey, amounts: SpendAmounts, sign: int, trace_id: str) -> None:
        cell = self._spend.get(key)
        if cell is None:
            self._spend[key] = new_spend(key, trace_id, [sign * amount for amount in amounts])
            return
        cell.trace_id = trace_id
        pico, observations, errors, inputs, outputs, total, unpriced = amounts
        cell.cost_pico += sign * pico
        cell.observations += sign * observations
        if errors:
            cell.errors += sign * errors
        if total:
            cell.input_tokens += sign * inputs
            cell.output_tokens += sign * outputs
            cell.total_tokens += sign * total
        if unpriced:
            cell.unpriced += sign * unpriced

    def delta(self, project_id: str, partition: int, offset: int) -> Delta | None:
        """Return the changes that do not cancel out; None if all of them do."""
        windows = [cell for cell in self._windows.values() if _changes(cell)]
        spend = [cell for cell in self._spend.values() if _changes_spend(cell)]
        if not windows and not spend:
            return None
        return Delta(project_id, partition, offset, windows, spend)


def _changes_spend(cell: SpendDelta) -> bool:
    return bool(
        cell.observations
        or cell.cost_pico
        or cell.errors
        or cell.input_tokens
        or cell.output_tokens
        or cell.total_tokens
        or cell.unpriced
    )


def _changes(cell: WindowDelta) -> bool:
    if cell.observations > 0:
        return True
    cell.usage = {key: count for key, count in cell.usage.items() if count}
    cell.latency_bins = {key: count for key, count in cell.latency_bins.items() if count}
    drop_zeros(cell)
    return bool(
        cell.observations
        or cell.errors
        or cell.cost_pico
        or cell.usage
        or cell.latency_bins
        or has_measures(cell)
    )
