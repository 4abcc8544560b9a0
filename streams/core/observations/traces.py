"""The state of a trace: its observations, its merged attributes, and totals over both."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from clickhouse.rows import TraceRow
from streams.core.dimensions.sources import TraceValues, trace_values
from streams.core.observations.extremes import FEW, Extremes, start_rank
from streams.core.observations.limits import (
    TRACE_USAGE_TYPES_MAX,
    USAGE_TYPES_MAX,
)
from streams.core.observations.merge import Merged
from streams.core.observations.nesting import Nesting, Recount
from streams.core.observations.state import ERROR, HAS_PARENT, LEVELS, SEVERITY, ObservationState
from streams.core.observations.trace_fields import TraceFields
from streams.core.rollups.amounts import row_amount, row_amounts
from streams.core.rollups.spend_amounts import OwnSpend, add_state, difference, spend_of
from tracemill.contract import DEFAULT_ENVIRONMENT

TraceKey = tuple[str, str]
"""Project and id of the trace."""

DAY_US: Final = 86_400_000_000

NO_IDS: Final[frozenset[str]] = frozenset()
"""Shared by all traces without evicted texts, to save memory."""
_DEFAULT: Final = SEVERITY["DEFAULT"]
NO_VALUES: Final = trace_values(TraceFields(), "")
"""Values of dimensions of a trace without attributes."""


class Trace:
    """State of a trace; ``add`` and ``remove`` update its totals incrementally."""

    __slots__ = (
        "_end_us",
        "_extremes",
        "_has_inner",
        "_parents",
        "_root",
        "_spend",
        "_start_us",
        "_text_bytes",
        "_with_amounts",
        "attributed",
        "changed_spend",
        "cost_pico",
        "day",
        "evicted_texts",
        "fields",
        "has_spend",
        "is_near_limit",
        "is_nested",
        "key",
        "key_hash",
        "nesting",
        "observations",
        "row_version",
        "severities",
        "text_bytes",
        "touched_by",
        "unpriced",
        "usage",
    )

    def __init__(self, key: TraceKey) -> None:
        self.key = key
        self.key_hash = 0
        """Hash of the key (``streams.core.observations.seen``) if the trace is new; 0: unknown."""
        self.observations: dict[str, ObservationState] = {}
        self.fields = TraceFields()
        self.severities = [0] * len(LEVELS)
        self.text_bytes = 0
        """Size of the texts of its observations; only those with partial updates keep any."""
        self.evicted_texts: AbstractSet[str] = NO_IDS
        """Observations whose texts were evicted; they are read back before the next update."""
        self.attributed: TraceValues = NO_VALUES
        """Dimension values under which the trace is counted, updated once per source record."""
        self.changed_spend: OwnSpend | None = None
        """What the current source record adds to the spend of the trace."""
        self.has_spend = False
        """Whether earlier source records had observations of the trace."""
        self.is_near_limit = False
        """Whether one more observation may exceed a limit, so that ``fits`` has to be checked."""
        self.unpriced = 0
        self.cost_pico = 0
        self.usage: dict[str, int] = {}
        self.row_version = 0
        self.day = -1
        """Day of the start in the last row, in days since the epoch; −1: there is no row yet."""
        self.touched_by = 0
        """Number of the last chunk that changed the trace."""
        self.is_nested = False
        """Whether an observation with usage or cost may be below another one."""
        self.nesting: Nesting | None = None
        """Set once the trace is nested."""
        self._parents: set[str] = set()
        """Ids of parents, and of former ones."""
        self._with_amounts = 0
        """Number of observations with usage or cost, until the trace is nested."""
        self._has_inner = False
        """Whether an observation with usage or cost has had a child."""
        self._start_us = 0
        self._end_us = 0
        self._root: ObservationState | None = None
        self._extremes: Extremes | None = None
        """Created in large traces when first needed, for example when the root is removed."""
        self._spend: OwnSpend | None = None
        """Computed when the trace is first re-attributed."""
        self._text_bytes: dict[str, int] | None = None
        """Size of the texts of each observation, least recently changed first; None: no texts."""

    def add(self, state: ObservationState) -> None:
        """Add an observation; if ``is_nested`` is true afterwards, call ``recounts`` next."""
        self.observations[state.id] = state
        self.severities[state.severity] += 1
        if state.cost_pico:
            self.cost_pico += state.cost_pico
        if state.cost_source == "unpriced":
            self.unpriced += 1
        if state.merged is not None:
            self._count_texts(state.id, state.merged)
        if state.usage:
            usage = self.usage
            for key, count in state.usage.items():
                usage[key] = usage.get(key, 0) + count
            if len(usage) > TRACE_USAGE_TYPES_MAX - USAGE_TYPES_MAX:
                self.is_near_limit = True
        if not self.is_nested:
            self._detect_nesting(state)
        self._extend_times(state)
        if self._extremes is not None:
            self._extremes.enter(state)

    def _detect_nesting(self, state: ObservationState) -> None:
        parent_id = state.parent_id
        if parent_id:
            self._parents.add(parent_id)
            parent = self.observations.get(parent_id)
            if parent is not None and (parent.usage or parent.cost_pico):
                self._has_inner = True
        if state.usage or state.cost_pico:
            self._with_amounts += 1
            if state.id in self._parents:
                self._has_inner = True
        self.is_nested = self._has_inner and self._with_amounts > 1

    def remove(self, state: ObservationState) -> None:
        del self.observations[state.id]
        self.severities[state.severity] -= 1
        self._subtract_amounts(state)
        self._with_amounts -= bool(state.usage or state.cost_pico)
        if state.reported is not None and self.nesting is not None:
            self.nesting.delist(state)
        if self._text_bytes is not None:
            self.text_bytes -= self._text_bytes.pop(state.id, 0)
        end_us = state.end_us or state.start_us
        if self._start_us == state.start_us or self._end_us == end_us or self._root is state:
            self._recompute_times()

    def _subtract_amounts(self, state: ObservationState) -> None:
        if state.cost_pico:
            self.cost_pico -= state.cost_pico
        self.unpriced -= state.is_unpriced
        for key, count in state.usage.items():
            self.usage[key] -= count
            if not self.usage[key]:
                del self.usage[key]

    def recounts(self, state: ObservationState) -> Iterator[Recount]:
        """Return the observations whose counted amounts change because ``state`` was added.

        Pass each one to ``recount`` before you take the next from the iterator.
        """
        if self.nesting is None:
            return self.all_recounts()
        return self.nesting.put(state, self.observations)

    def all_recounts(self) -> Iterator[Recount]:
        """Return the same for a trace whose observations were all added without ``recounts``."""
        self.nesting = Nesting()
        return self.nesting.build(self.observations)

    def recount(self, state: ObservationState, usage: dict[str, int], cost_pico: int) -> None:
        """Change what an observation counts."""
        nesting = self.nesting
        assert nesting is not None
        self._subtract_amounts(state)
        reported = state.usage, state.cost_pico
        if state.reported is not None:
            reported = state.reported
            nesting.delist(state)
        state.usage, state.cost_pico = usage, cost_pico
        state.reported = None if reported == (usage, cost_pico) else reported
        if state.reported is not None:
            nesting.enlist(state)
        self.cost_pico += cost_pico
        self.unpriced += state.is_unpriced
        for key, count in usage.items():
            self.usage[key] = self.usage.get(key, 0) + count
        types = len(self.usage) + len(nesting.usage_types)
        if types > TRACE_USAGE_TYPES_MAX - USAGE_TYPES_MAX:
            self.is_near_limit = True

    def fits(self, state: ObservationState) -> bool:
        """Return whether the usage types stay within their limit if ``state`` is added.

        All that summaries report (see ``Nesting``) is included, because they may count it later.
        """
        nesting = self.nesting
        types = self.usage.keys() | (nesting.usage_types.keys() if nesting is not None else ())
        new = state.usage.keys() - types
        return not new or len(types) + len(new) <= TRACE_USAGE_TYPES_MAX

    def earlier_spend(self) -> OwnSpend:
        """Return the spend of the trace before the current source record."""
        if not self.has_spend:
            return {}
        if self._spend is None:
            self._spend = spend_of(self.observations.values())
        return difference(self._spend, self.changed_spend or {})

    def change_spend(self, state: ObservationState, sign: int) -> None:
        """Add an observation (+1) to the changes of the current record, or remove it (−1)."""
        spend = self.changed_spend
        if spend is None:
            spend = self.changed_spend = {}
        add_state(spend, state, sign)
        if self._spend is not None:
            add_state(self._spend, state, sign)

    def recompute_spend(self) -> None:
        """Compute the spend from the observations when it is next needed."""
        self._spend = None

    def values(self) -> TraceValues:
        """Return the current values of the dimensions from traces."""
        root = self._root
        return trace_values(self.fields, "" if root is None else root.name)

    def evict_texts(self, bytes_max: int) -> None:
        """Evict texts of observations, least recently changed first, down to ``bytes_max``."""
        evicted = self.evicted_texts
        if not isinstance(evicted, set):
            evicted = self.evicted_texts = set(evicted)
        sizes = self._text_bytes or {}
        while self.text_bytes > bytes_max:
            observation_id = next(iter(sizes))
            self.text_bytes -= sizes.pop(observation_id)
            self.observations[observation_id].merged = None
            evicted.add(observation_id)

    def restore_texts(self, state: ObservationState, merged: Merged) -> None:
        """Restore the merged updates of an observation, texts included."""
        state.merged = merged
        self._count_texts(state.id, merged)
        if isinstance(self.evicted_texts, set):
            self.evicted_texts.discard(state.id)

    def _count_texts(self, observation_id: str, merged: Merged) -> None:
        if self._text_bytes is None:
            self._text_bytes = {}
        size = self._text_bytes[observation_id] = merged.text_bytes
        self.text_bytes += size

    def _extend_times(self, state: ObservationState) -> None:
        if not 0 < self._start_us <= state.start_us:
            self._start_us = state.start_us
        end_us = state.end_us or state.start_us
        if end_us > self._end_us:  # noqa: PLR1730  # a call of max() costs three times as much
            self._end_us = end_us
        if state.rootness != HAS_PARENT and (
            self._root is None or state.root_rank < self._root.root_rank
        ):
            self._root = state

    def _recompute_times(self) -> None:
        """Recompute start, end and root after an observation that determined one was removed."""
        if len(self.observations) > FEW:
            extremes = self._tracked_extremes()
            first, last = extremes.first(), extremes.last()
            self._start_us = 0 if first is None else first.start_us
            self._end_us = 0 if last is None else last.end_us or last.start_us
            self._root = extremes.root()
            return
        self._start_us, self._end_us, self._root, self._extremes = 0, 0, None, None
        for state in self.observations.values():
            self._extend_times(state)

    def _tracked_extremes(self) -> Extremes:
        if self._extremes is None:
            self._extremes = Extremes(self.observations)
        return self._extremes

    def _first(self) -> ObservationState | None:
        if len(self.observations) > FEW:
            return self._tracked_extremes().first()
        return min(self.observations.values(), key=start_rank, default=None)

    @property
    def start_us(self) -> int:
        fields_us, start_us = self.fields.start_us, self._start_us
        if not start_us:
            return fields_us or self.fields.first_us
        return min(start_us, fields_us) if fields_us else start_us

    def row(self) -> TraceRow:
        fields, root = self.fields, self._root
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
        if self.nesting is not None:
            row.summaries = self.nesting.listed()
        if fields.latest or fields.tags or fields.first_us or fields.start_us or fields.metadata:
            fields.write(row)
        return row

    def _environment(self) -> str:
        """Return the first environment of the trace; else that of its root or first observation."""
        if self.fields.environment is not None:
            return str(self.fields.environment[1])
        root = self._root or self._first()
        return DEFAULT_ENVIRONMENT if root is None else root.environment

    def _level(self) -> str:
        for severity in range(ERROR, -1, -1):
            if self.severities[severity]:
                return LEVELS[severity]
        return LEVELS[_DEFAULT]


def deleted_row(trace: Trace, old_start_us: int) -> TraceRow:
    """Return the deletion of the row whose key has the day of ``old_start_us``."""
    project_id, trace_id = trace.key
    return TraceRow(
        project_id=project_id,
        id=trace_id,
        start_us=old_start_us,
        row_version=trace.row_version,
        is_deleted=1,
    )
