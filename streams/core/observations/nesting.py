"""Compute what the observations of one trace count, where usage is nested.

Most traces have no observation with usage below another, and thus no ``Nesting``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from typing import Final

from producers.token_sides import INPUT, OUTPUT, side_of
from streams.core.observations.limits import (
    TRACE_SUMMARIES_MAX,
    TRACE_SUMMARY_ID_CHARS_MAX,
)
from streams.core.observations.state import ObservationState
from streams.core.observations.summaries import Amounts, Reported, SummaryTree

Recount = tuple[ObservationState, dict[str, int], int]
"""An observation, and the usage and picodollars that it counts from now on."""

COST: Final = "cost_pico"


class Nesting:
    """The summaries of a trace.

    Attributes:
        summaries: observations that count less than they report, by id.
        usage_types: number of summaries by the usage types that they report.
    """

    __slots__ = ("_tree", "summaries", "usage_types")

    def __init__(self) -> None:
        self._tree = SummaryTree()
        self.summaries: dict[str, ObservationState] = {}
        self.usage_types: dict[str, int] = {}

    def put(
        self, state: ObservationState, states: Mapping[str, ObservationState]
    ) -> Iterator[Recount]:
        """Add or replace an observation; yield those of ``states`` whose counted amounts change."""
        try:
            changed = self._tree.put(state.id, state.parent_id, _reported(state))
        except ValueError:
            return self.build(states)
        if changed is None:
            return _recounts(self._tree, states.values())
        return _recounts(self._tree, (states[each] for each in changed if each in states))

    def build(self, states: Mapping[str, ObservationState]) -> Iterator[Recount]:
        """Build the tree from all observations of the trace; yield likewise."""
        tree = self._tree = SummaryTree(
            (state.id, state.parent_id, _reported(state)) for state in states.values()
        )
        return _recounts(tree, states.values())

    def enlist(self, state: ObservationState) -> None:
        """Add a summary."""
        assert state.reported is not None
        self.summaries[state.id] = state
        for usage_type in state.reported[0]:
            self.usage_types[usage_type] = self.usage_types.get(usage_type, 0) + 1

    def delist(self, state: ObservationState) -> None:
        """Remove a summary."""
        assert state.reported is not None
        del self.summaries[state.id]
        for usage_type in state.reported[0]:
            self.usage_types[usage_type] -= 1
            if not self.usage_types[usage_type]:
                del self.usage_types[usage_type]

    def listed(self) -> dict[str, dict[str, int]]:
        """Return what summaries count, by id, for the row of the trace; the first ones by id.

        Tokens are by side; ``cost_pico`` is in picodollars. Zeros are left out.
        """
        listed: dict[str, dict[str, int]] = {}
        chars = 0
        for observation_id in nsmallest(TRACE_SUMMARIES_MAX, self.summaries):
            chars += len(observation_id)
            if chars > TRACE_SUMMARY_ID_CHARS_MAX:
                break
            state = self.summaries[observation_id]
            counted = listed[observation_id] = {**state.usage}
            if state.cost_pico:
                counted[COST] = state.cost_pico
        return listed


def _recounts(tree: SummaryTree, states: Iterable[ObservationState]) -> Iterator[Recount]:
    for state in states:
        usage, cost_pico = state.reported or (state.usage, state.cost_pico)
        counted = tree.counted(state.id)
        if counted != _amounts_of(usage, cost_pico):
            usage, cost_pico = _usage_of(counted), counted.cost_pico
        if usage != state.usage or cost_pico != state.cost_pico:
            yield state, usage, cost_pico


def _reported(state: ObservationState) -> Reported | None:
    usage, cost_pico = state.reported or (state.usage, state.cost_pico)
    if not usage and not cost_pico:
        return None
    amounts = _amounts_of(usage, cost_pico)
    return Reported(amounts, state.model, state.is_aggregate, state.is_estimated)


def _amounts_of(usage: Mapping[str, int], cost_pico: int) -> Amounts:
    """Return tokens by side; a sole total counts as input."""
    sides = [0, 0]
    for usage_type, count in usage.items():
        side = side_of(usage_type)
        if side in (INPUT, OUTPUT):
            sides[side] += count
    if not any(sides):
        sides[0] = usage.get("total", 0)
    return Amounts(sides[0], sides[1], cost_pico)


def _usage_of(counted: Amounts) -> dict[str, int]:
    usage = {"input": counted.input, "output": counted.output}
    usage["total"] = counted.input + counted.output
    return {usage_type: count for usage_type, count in usage.items() if count}
