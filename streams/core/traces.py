"""A trace in memory: its observations as they count, what was said of it, and totals that follow from both."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from clickhouse.rows import TraceRow
from streams.core.amounts import row_amount, row_amounts
from streams.core.merge import Merged
from streams.core.observations import ERROR, HAS_PARENT, LEVELS, SEVERITY, Known
from streams.core.statements import TraceStatements
from tracemill.contract import DEFAULT_ENVIRONMENT

TraceKey = tuple[str, str]
"""Project, trace."""

DAY_US: Final = 86_400_000_000
_NONE: Final[frozenset[str]] = frozenset()
_DEFAULT: Final = SEVERITY["DEFAULT"]


class Trace:
    """``count_in`` and ``count_out`` keep the totals equal to the sum over ``observations``."""

    __slots__ = (
        "_end_us",
        "_root",
        "_start_us",
        "cost_pico",
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
        self.observations: dict[str, Known] = {}
        self.said = TraceStatements()
        self.severities = [0] * len(LEVELS)
        self.text_bytes = 0
        """Of the texts of its observations: those told in parts keep them."""
        self.shed: AbstractSet[str] = _NONE
        """Observations told in parts whose texts are not in memory: whatever is said of one, they have to be read back first."""
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
        self._root: Known | None = None

    def count_in(self, known: Known) -> None:
        self.observations[known.id] = known
        self.severities[known.severity] += 1
        self.cost_pico += known.cost_pico
        if known.cost_source == "unpriced":
            self.unpriced += 1
        if known.merged is not None:
            self.text_bytes += known.merged.text_bytes
        if known.usage:
            usage = self.usage
            for key, count in known.usage.items():
                usage[key] = usage.get(key, 0) + count
        self._stretch(known)

    def count_out(self, known: Known) -> None:
        del self.observations[known.id]
        self.severities[known.severity] -= 1
        self.cost_pico -= known.cost_pico
        self.unpriced -= known.cost_source == "unpriced"
        if known.merged is not None:
            self.text_bytes -= known.merged.text_bytes
        for key, count in known.usage.items():
            self.usage[key] -= count
            if not self.usage[key]:
                del self.usage[key]
        end_us = known.end_us or known.start_us
        if self._start_us == known.start_us or self._end_us == end_us or self._root is known:
            self._start_us, self._end_us, self._root = 0, 0, None
            for other in self.observations.values():
                self._stretch(other)

    def shed_texts(self, bytes_max: int) -> None:
        """Let go of the texts of observations, least recently changed first, until ``bytes_max`` are left."""
        shed = set(self.shed)
        for known in self.observations.values():
            if self.text_bytes <= bytes_max:
                break
            if known.merged is not None:
                self.text_bytes -= known.merged.text_bytes
                known.merged = None
                shed.add(known.id)
        self.shed = shed

    def regain(self, known: Known, merged: Merged) -> None:
        """Take back the statements of an observation, texts included."""
        known.merged = merged
        self.text_bytes += merged.text_bytes
        self.shed = self.shed - {known.id}

    def _stretch(self, known: Known) -> None:
        if not 0 < self._start_us <= known.start_us:
            self._start_us = known.start_us
        self._end_us = max(self._end_us, known.end_us or known.start_us)
        if known.rootness != HAS_PARENT and (
            self._root is None or known.root_rank < self._root.root_rank
        ):
            self._root = known

    @property
    def start_us(self) -> int:
        stated_us = self.said.start_us
        if not self._start_us:
            return stated_us or self.said.first_us
        return min(self._start_us, stated_us) if stated_us else self._start_us

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
        if said.latest or said.tags or said.first_us or said.start_us or said.metadata.children:
            said.write(row)
        return row

    def _environment(self) -> str:
        """As first stated for the trace; else the root's; else that of the observation which began first."""
        if self.said.environment is not None:
            return str(self.said.environment[1])
        if self._root is not None:
            return self._root.environment
        if not self.observations:
            return DEFAULT_ENVIRONMENT
        return min(
            self.observations.values(), key=lambda known: (known.start_us, known.id)
        ).environment

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
