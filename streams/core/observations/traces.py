"""A trace in memory: its observations as they count, what was said of it, and totals that follow from both."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from clickhouse.rows import TraceRow
from streams.core.dimensions.keys import StartedKey, own_spend
from streams.core.dimensions.sources import TraceValues, trace_values
from streams.core.observations.extremes import FEW, Extremes, start_rank
from streams.core.observations.limits import (
    TRACE_SPEND_CELLS_MAX,
    TRACE_USAGE_TYPES_MAX,
    USAGE_TYPES_MAX,
)
from streams.core.observations.merge import Merged
from streams.core.observations.state import ERROR, HAS_PARENT, LEVELS, SEVERITY, ObservationState
from streams.core.observations.statements import TraceStatements
from streams.core.rollups.amounts import row_amount, row_amounts
from tracemill.contract import DEFAULT_ENVIRONMENT

TraceKey = tuple[str, str]
"""Project, trace."""

DAY_US: Final = 86_400_000_000

NONE_SHED: Final[frozenset[str]] = frozenset()
"""A set of its own for each of many traces costs memory, and time to come by and to walk."""
_DEFAULT: Final = SEVERITY["DEFAULT"]
NO_VALUES: Final = trace_values(TraceStatements())
"""Values of dimensions of a trace of which nothing is stated."""


class Trace:
    """``count_in`` and ``count_out`` keep the totals equal to the sum over ``observations``, at a
    cost that does not grow with their number.
    """

    __slots__ = (
        "_end_us",
        "_extremes",
        "_root",
        "_spent",
        "_start_us",
        "_text_bytes",
        "attributed",
        "cost_pico",
        "crowded",
        "day",
        "key",
        "observations",
        "row_version",
        "said",
        "severities",
        "shed",
        "text_bytes",
        "touched_by",
        "unpriced",
        "usage",
    )

    def __init__(self, key: TraceKey) -> None:
        self.key = key
        self.observations: dict[str, ObservationState] = {}
        self.said = TraceStatements()
        self.severities = [0] * len(LEVELS)
        self.text_bytes = 0
        """Of the texts of its observations: those told in parts keep them."""
        self.shed: AbstractSet[str] = NONE_SHED
        """Observations told in parts whose texts are not in memory: whatever is said of one, they have to be read back first."""
        self.attributed: TraceValues = NO_VALUES
        """Values of dimensions that everything is counted under; those of ``said`` as soon as the
        source record is folded."""
        self.crowded = False
        """Whether one more observation may find no room."""
        self.unpriced = 0
        self.cost_pico = 0
        self.usage: dict[str, int] = {}
        self.row_version = 0
        self.day = -1
        """Of the start as last settled, in days since the epoch: part of the row's key; −1: there is no row yet."""
        self.touched_by = 0
        """Number of the chunk that was the last to change the trace."""
        self._start_us = 0
        self._end_us = 0
        self._root: ObservationState | None = None
        self._extremes: Extremes | None = None
        """Of many observations, as soon as one of the three above is taken out."""
        self._text_bytes: dict[str, int] | None = None
        """Of each observation whose texts are in memory, least recently changed first; ``None``:
        there has been none."""
        self._spent: dict[StartedKey, int] | None = None
        """``None``: not asked for yet."""

    def count_in(self, known: ObservationState) -> None:
        self.observations[known.id] = known
        self.severities[known.severity] += 1
        if known.cost_pico:
            self.cost_pico += known.cost_pico
            if len(self.observations) >= TRACE_SPEND_CELLS_MAX:
                self.crowded = True
            if self._spent is not None:
                self._spend(self._spent, known, 1)
        if known.cost_source == "unpriced":
            self.unpriced += 1
        if known.merged is not None:
            self._count_texts(known.id, known.merged)
        if known.usage:
            usage = self.usage
            for key, count in known.usage.items():
                usage[key] = usage.get(key, 0) + count
            if len(usage) > TRACE_USAGE_TYPES_MAX - USAGE_TYPES_MAX:
                self.crowded = True
        self._stretch(known)
        if self._extremes is not None:
            self._extremes.enter(known)

    def count_out(self, known: ObservationState) -> None:
        del self.observations[known.id]
        self.severities[known.severity] -= 1
        if known.cost_pico:
            self.cost_pico -= known.cost_pico
            if self._spent is not None:
                self._spend(self._spent, known, -1)
        self.unpriced -= known.cost_source == "unpriced"
        if self._text_bytes is not None:
            self.text_bytes -= self._text_bytes.pop(known.id, 0)
        for key, count in known.usage.items():
            self.usage[key] -= count
            if not self.usage[key]:
                del self.usage[key]
        end_us = known.end_us or known.start_us
        if self._start_us == known.start_us or self._end_us == end_us or self._root is known:
            self._shrink()

    def has_room_for(self, known: ObservationState) -> bool:
        """Whether its usage types, and the cells that it spent in, stay within their limits with
        this one.
        """
        new = known.usage.keys() - self.usage.keys()
        if new and len(self.usage) + len(new) > TRACE_USAGE_TYPES_MAX:
            return False
        if len(self.observations) < TRACE_SPEND_CELLS_MAX or not known.cost_pico:
            return True
        spent = self.spent()
        return len(spent) < TRACE_SPEND_CELLS_MAX or own_spend(known) in spent

    def spent(self) -> dict[StartedKey, int]:
        """What it spent, in picodollars, where that is not nothing."""
        if self._spent is None:
            self._spent = {}
            for known in self.observations.values():
                if known.cost_pico:
                    self._spend(self._spent, known, 1)
        return self._spent

    @staticmethod
    def _spend(spent: dict[StartedKey, int], known: ObservationState, sign: int) -> None:
        cell = own_spend(known)
        pico = spent.get(cell, 0) + sign * known.cost_pico
        if pico:
            spent[cell] = pico
        else:
            del spent[cell]

    def shed_texts(self, bytes_max: int) -> None:
        """Let go of the texts of observations, least recently changed first, until ``bytes_max`` are left."""
        shed = self.shed if isinstance(self.shed, set) else set(self.shed)
        self.shed, sizes = shed, self._text_bytes or {}
        while self.text_bytes > bytes_max:
            observation_id = next(iter(sizes))
            self.text_bytes -= sizes.pop(observation_id)
            self.observations[observation_id].merged = None
            shed.add(observation_id)

    def regain(self, known: ObservationState, merged: Merged) -> None:
        """Take back the statements of an observation, texts included."""
        known.merged = merged
        self._count_texts(known.id, merged)
        if isinstance(self.shed, set):
            self.shed.discard(known.id)

    def _count_texts(self, observation_id: str, merged: Merged) -> None:
        if self._text_bytes is None:
            self._text_bytes = {}
        size = self._text_bytes[observation_id] = merged.text_bytes
        self.text_bytes += size

    def _stretch(self, known: ObservationState) -> None:
        if not 0 < self._start_us <= known.start_us:
            self._start_us = known.start_us
        end_us = known.end_us or known.start_us
        if end_us > self._end_us:  # noqa: PLR1730  # a call of max() costs three times as much
            self._end_us = end_us
        if known.rootness != HAS_PARENT and (
            self._root is None or known.root_rank < self._root.root_rank
        ):
            self._root = known

    def _shrink(self) -> None:
        """Find start, end and root again, without one that mattered."""
        if len(self.observations) > FEW:
            extremes = self._of_many()
            first, last = extremes.first(), extremes.last()
            self._start_us = 0 if first is None else first.start_us
            self._end_us = 0 if last is None else last.end_us or last.start_us
            self._root = extremes.root()
            return
        self._start_us, self._end_us, self._root, self._extremes = 0, 0, None, None
        for known in self.observations.values():
            self._stretch(known)

    def _of_many(self) -> Extremes:
        if self._extremes is None:
            self._extremes = Extremes(self.observations)
        return self._extremes

    def _first(self) -> ObservationState | None:
        if len(self.observations) > FEW:
            return self._of_many().first()
        return min(self.observations.values(), key=start_rank, default=None)

    @property
    def start_us(self) -> int:
        stated_us, start_us = self.said.start_us, self._start_us
        if not start_us:
            return stated_us or self.said.first_us
        return min(start_us, stated_us) if stated_us else start_us

    def row(self) -> TraceRow:
        said, root = self.said, self._root
        project_id, trace_id = self.key
        count = len(self.observations)
        row = TraceRow(
            project_id=project_id,
            id=trace_id,
            start_us=self.start_us,
            row_version=self.row_version,
            end_us=self._end_us,
            name="" if root is None else root.name,
            environment=self._environment(),
            root_observation_id="" if root is None else root.id,
            level=self._level(),
            observation_count=count,
            error_count=self.severities[ERROR],
            unpriced_count=self.unpriced,
            usage=row_amounts(self.usage),
            total_cost_pico=row_amount(self.cost_pico),
        )
        if said.latest or said.tags or said.first_us or said.start_us or said.metadata:
            said.write(row)
        return row

    def _environment(self) -> str:
        """As first stated for the trace; else the root's; else that of the observation which began first."""
        if self.said.environment is not None:
            return str(self.said.environment[1])
        root = self._root or self._first()
        return DEFAULT_ENVIRONMENT if root is None else root.environment

    def _level(self) -> str:
        for severity in range(ERROR, -1, -1):
            if self.severities[severity]:
                return LEVELS[severity]
        return LEVELS[_DEFAULT]


def deleted_row(trace: Trace, old_start_us: int) -> TraceRow:
    """The row that deletes the one which the trace had on the day of ``old_start_us``."""
    project_id, trace_id = trace.key
    return TraceRow(
        project_id=project_id,
        id=trace_id,
        start_us=old_start_us,
        row_version=trace.row_version,
        is_deleted=1,
    )
