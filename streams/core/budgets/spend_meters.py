"""Find the meters that a change of spend belongs to, and add it to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from producers.control.periods import QUARTER_US
from streams.core.budgets.limits import Group, MeterKey, group_of_key
from streams.core.budgets.meters import QUARTER_S, Meter, PeriodSums, SpendQuery
from streams.core.dimensions.keys import (
    CellKey,
    Scope,
    Shape,
    scopes_of_shape,
    spend_key_of_delta,
)
from streams.core.rollups.deltas import Delta, SpendDelta

_NONE: Final[tuple[Meter, ...]] = ()


@dataclass(slots=True)
class Changed:
    """A group whose spend a delta has changed."""

    meter: Meter
    sums: PeriodSums
    group: Group
    key: CellKey
    """Dimensions of the last change."""
    before_pico: int
    added_pico: int = 0
    is_lowered: bool = False
    """Whether a change was negative."""


@dataclass(slots=True)
class ProjectMeters:
    """The meters of a project by scope, and the dimensions that scopes use."""

    meters: dict[MeterKey, Meter] = field(default_factory=dict)
    by_scope: dict[Scope, list[Meter]] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    horizon_s: int = 0
    """The latest quarter of an hour with a change, as far as known."""

    def index(self) -> None:
        """Build the index of meters by scope."""
        self.by_scope = {}
        for meter in self.meters.values():
            self.by_scope.setdefault(meter.key.scope, []).append(meter)
        shapes = {tuple(part is not None for part in scope) for scope in self.by_scope}
        self.shapes = tuple(sorted(shapes))

    def of_key(self, key: CellKey) -> Iterator[Meter]:
        """Yield the meters whose scope includes a spend cell."""
        for shape in self.shapes:
            for scope in scopes_of_shape(shape, key):
                yield from self.by_scope.get(scope, _NONE)


@dataclass(slots=True)
class SpendMeters:
    """The meters of a partition's projects.

    Attributes:
        is_full: whether new groups are ignored, because there are too many.
        ignored: number of changes that were ignored for this reason.
    """

    is_full: bool = False
    ignored: int = 0
    _projects: dict[str, ProjectMeters] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Meter]:
        for project in self._projects.values():
            yield from project.meters.values()

    def get(self, key: MeterKey) -> Meter | None:
        """Return a meter, or None."""
        project = self._projects.get(key.project_id)
        return None if project is None else project.meters.get(key)

    def create(self, key: MeterKey) -> Meter:
        """Add a meter."""
        project = self._projects.setdefault(key.project_id, ProjectMeters())
        meter = project.meters[key] = Meter(key)
        project.index()
        return meter

    def remove(self, key: MeterKey) -> None:
        """Remove a meter."""
        project = self._projects[key.project_id]
        del project.meters[key]
        project.index()
        if not project.meters:
            del self._projects[key.project_id]

    def horizon_s(self, project_id: str) -> int:
        """Return the latest quarter of an hour with a change of a project, as far as known."""
        return self._projects[project_id].horizon_s

    def add(self, delta: Delta, offset: int) -> list[Changed]:
        """Add the changes of a delta; return the groups that have changed."""
        project = self._projects.get(delta.project_id)
        if project is None:
            return []
        changed: dict[tuple[int, int, Group], Changed] = {}
        for change in delta.spend:
            if not change.cost_pico:
                continue
            start_s = change.bucket_s // QUARTER_S * QUARTER_S
            project.horizon_s = max(project.horizon_s, start_s)
            key = spend_key_of_delta(change)
            groups: dict[tuple[int, ...], Group] = {}
            for meter in project.of_key(key):
                group = groups.get(meter.positions)
                if group is None:
                    group = groups[meter.positions] = group_of_key(key, meter.positions)
                self._add(meter, start_s, key, group, change, offset, changed)
        return list(changed.values())

    def _add(
        self,
        meter: Meter,
        start_s: int,
        key: CellKey,
        group: Group,
        change: SpendDelta,
        offset: int,
        changed: dict[tuple[int, int, Group], Changed],
    ) -> None:
        pico = change.cost_pico
        try:
            sums = meter.add(
                start_s, key, group, pico, change.trace_id, offset, only_known=self.is_full
            )
        except ValueError:
            return  # outside the calendar
        if sums is None:
            self.ignored += self.is_full
            return
        at = (id(meter), sums.start_us, group)
        each = changed.get(at)
        if each is None:
            each = changed[at] = Changed(meter, sums, group, key, sums.spent[group] - pico)
        each.key = key
        each.added_pico += pico
        each.is_lowered = each.is_lowered or pico < 0

    def groups(self) -> int:
        """Return the number of groups of all periods."""
        return sum(len(sums.spent) for meter in self for sums in meter.periods.values())

    def ended(self, now_us: int) -> list[tuple[int, Meter, PeriodSums]]:
        """Return the periods that have ended, with their ends, earliest first."""
        found = [
            (sums.end_us, meter, sums)
            for meter in self
            for sums in meter.periods.values()
            if sums.end_us < now_us
        ]
        return sorted(found, key=lambda each: each[0])

    def incomplete(self, now_us: int) -> Iterator[tuple[Meter, PeriodSums]]:
        """Yield the periods whose sums may lack spend."""
        for meter in self:
            for sums in meter.periods.values():
                if not meter.is_complete(sums, now_us):
                    yield meter, sums

    def begin_readings(self, count_max: int, input_offset: int, now_us: int) -> list[SpendQuery]:
        """Begin up to ``count_max`` readings of incomplete periods, and return them."""
        found: list[SpendQuery] = []
        for meter, sums in self.incomplete(now_us):
            if len(found) >= count_max:
                break
            if sums.query is not None:
                continue
            start_us = sums.start_us
            if meter.rolling_us:
                start_us = (now_us - meter.rolling_us) // QUARTER_US * QUARTER_US
            sums.query = SpendQuery(meter.key, start_us, sums.end_us, input_offset)
            sums.recorded = []
            found.append(sums.query)
        return found

    def period_of(self, query: SpendQuery) -> tuple[Meter, PeriodSums] | None:
        """Return the period of a reading; None if it was removed or its reading has ended."""
        meter = self.get(query.meter)
        if meter is None:
            return None
        sums = meter.periods.get(0 if meter.rolling_us else query.start_us)
        return None if sums is None or sums.query is not query else (meter, sums)
