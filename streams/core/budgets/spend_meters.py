"""Find the meters that the changes of spend of a delta belong to, and add them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from producers.control.periods import QUARTER_US
from streams.core.budgets.limits import Group, MeterKey
from streams.core.budgets.meters import QUARTER_S, Meter
from streams.core.budgets.sums import GroupSum, PeriodSums, SpendQuery
from streams.core.dimensions.keys import (
    CellKey,
    Scope,
    Shape,
    scope_of,
    scopes_of_shape,
    spend_key_of_delta,
)
from streams.core.rollups.deltas import Delta


@dataclass(slots=True)
class Changed:
    """A group whose spend a delta has changed."""

    meter: Meter
    sums: PeriodSums
    group: Group
    total: GroupSum
    before_pico: int
    added_pico: int = 0
    is_lowered: bool = False
    """Whether a change was negative."""
    key: CellKey = ()
    """Dimensions of the last change."""

    def add(self, change: Gathered, pico: int) -> None:
        """Add changes, of which ``pico`` is new."""
        self.added_pico += pico
        self.is_lowered = self.is_lowered or change.is_lowered
        self.key = change.changes[-1][0]


@dataclass(slots=True)
class Gathered:
    """The changes of a delta in one quarter of an hour and group."""

    pico: int = 0
    is_lowered: bool = False
    trace_id: str = ""
    changes: list[tuple[CellKey, int]] = field(default_factory=list)


@dataclass(slots=True)
class Bundle:
    """The meters of a scope and ``group_by``, whose periods differ.

    The changes of a delta are added up once for all of them.
    """

    group_of: Callable[[CellKey], Group]
    meters: list[Meter] = field(default_factory=list)
    gathered: dict[tuple[int, Group], Gathered] = field(default_factory=dict)

    def gather(self, start_s: int, key: CellKey, pico: int, trace_id: str) -> None:
        """Add a change of a spend cell."""
        place = (start_s, self.group_of(key))
        found = self.gathered.get(place)
        if found is None:
            self.gathered[place] = Gathered(pico, pico < 0, trace_id, [(key, pico)])
            return
        found.pico += pico
        found.is_lowered = found.is_lowered or pico < 0
        found.trace_id = trace_id
        found.changes.append((key, pico))


@dataclass(slots=True)
class ProjectMeters:
    """The meters of a project by scope, and the dimensions that scopes use.

    Attributes:
        unscoped: the bundles of the scope that matches all cells; ``shapes`` lacks its shape.
    """

    meters: dict[MeterKey, Meter] = field(default_factory=dict)
    bundles: list[Bundle] = field(default_factory=list)
    unscoped: list[Bundle] = field(default_factory=list)
    by_scope: dict[Scope, list[Bundle]] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    horizon_s: int = 0
    """The latest quarter of an hour with a change, as far as known."""

    def index(self) -> None:
        """Build the index of meters by scope."""
        found: dict[tuple[Scope, tuple[str, ...]], Bundle] = {}
        self.by_scope = {}
        for key, meter in self.meters.items():
            bundle = found.get((key.scope, key.group_by))
            if bundle is None:
                bundle = found[key.scope, key.group_by] = Bundle(key.group_getter())
                self.by_scope.setdefault(key.scope, []).append(bundle)
            bundle.meters.append(meter)
        self.bundles = list(found.values())
        self.unscoped = self.by_scope.pop(scope_of({}), [])
        shapes = {tuple(part is not None for part in scope) for scope in self.by_scope}
        self.shapes = tuple(sorted(shapes))

    def gather(self, delta: Delta) -> None:
        """Add up the changes of a delta in each bundle."""
        for bundle in self.bundles:
            bundle.gathered = {}  # an earlier delta may have raised
        by_scope = self.by_scope
        for change in delta.spend:
            pico = change.cost_pico
            if not pico:
                continue
            start_s = change.bucket_s // QUARTER_S * QUARTER_S
            self.horizon_s = max(self.horizon_s, start_s)
            key, trace_id = spend_key_of_delta(change), change.trace_id
            for bundle in self.unscoped:
                bundle.gather(start_s, key, pico, trace_id)
            for shape in self.shapes:
                for scope in scopes_of_shape(shape, key):
                    for bundle in by_scope.get(scope, ()):
                        bundle.gather(start_s, key, pico, trace_id)


@dataclass(slots=True)
class SpendMeters:
    """The meters of a partition's projects.

    Attributes:
        is_full: whether new groups are ignored, because there are too many.
        ignored: number of changes that were ignored for this reason.
        joined: periods that have changed and that not all limits of their meter include.
        position: offset of the last delta before the last flush
            (``streams.core.budgets.unwritten``).
    """

    is_full: bool = False
    ignored: int = 0
    position: int = -1
    joined: dict[int, tuple[Meter, PeriodSums]] = field(default_factory=dict)
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
        project.gather(delta)
        changed: dict[tuple[int, Group], Changed] = {}
        for bundle in project.bundles:
            if not bundle.gathered:
                continue
            for meter in bundle.meters:
                for (start_s, group), change in bundle.gathered.items():
                    self._add(meter, start_s, group, change, offset, changed)
        return list(changed.values())

    def _add(
        self,
        meter: Meter,
        start_s: int,
        group: Group,
        change: Gathered,
        offset: int,
        changed: dict[tuple[int, Group], Changed],
    ) -> None:
        sums = meter.of_quarter.get(start_s)
        if sums is None:
            try:
                sums = meter.period_at(start_s)
            except ValueError:
                return  # outside the calendar
        if sums.others:
            self.joined[id(sums)] = meter, sums
        pico: int | None = change.pico
        if sums.query is not None or sums.newer:
            pico = _read_change(sums, start_s, group, change, offset)
        total = sums.groups.get(group)
        if total is None and pico is not None:
            if self.is_full:
                self.ignored += len(change.changes)
                return
            total = sums.groups[group] = GroupSum()
        if pico is None or total is None or offset <= total.contained:
            return
        at = (id(sums), group)
        each = changed.get(at)
        if each is None:
            changed[at] = Changed(
                meter, sums, group, total, total.spent_pico, pico, change.is_lowered,
                change.changes[-1][0],
            )  # fmt: skip
        else:
            each.add(change, pico)
        total.add(start_s, pico, change.trace_id, is_rolling=meter.rolling_us > 0)
        sums.changed(group, total, self.position)

    def all_sums(self) -> list[PeriodSums]:
        """Return the sums of all periods."""
        return [sums for meter in self for sums in meter.periods.values()]

    def groups(self) -> int:
        """Return the number of groups of all periods."""
        return sum(len(sums.groups) for sums in self.all_sums())

    def outdated(
        self, now_us: int, keep_us: int, groups_max: int
    ) -> list[tuple[Meter, PeriodSums]]:
        """Return the periods that ended long ago, and further ones if there are too many groups."""
        too_many = self.groups() - groups_max
        ended = [
            (meter, sums)
            for meter in self
            for sums in meter.periods.values()
            if sums.end_us < now_us
        ]
        found = []
        for meter, sums in sorted(ended, key=lambda each: each[1].end_us):
            if sums.end_us < now_us - keep_us or too_many > 0:
                too_many -= len(sums.groups)
                found.append((meter, sums))
        self.is_full = too_many > 0
        return found

    def incomplete(self, now_us: int) -> Iterator[tuple[Meter, PeriodSums]]:
        """Yield the periods whose sums may lack spend."""
        for meter in self:
            for sums in meter.periods.values():
                if not sums.newer and not meter.is_complete(sums, now_us):
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


def _read_change(
    sums: PeriodSums, start_s: int, group: Group, change: Gathered, offset: int
) -> int | None:
    """Record a change while stored spend is read; return what of it is new, or None.

    After the reading, what the stored rows contained is not new.
    """
    if sums.query is not None:
        sums.recorded += [(offset, start_s, key, group, pico) for key, pico in change.changes]
    if not sums.newer:
        return change.pico
    added = [
        pico for key, pico in change.changes if offset > sums.newer.get((start_s, key), -1)
    ]  # fmt: skip
    return sum(added) if added else None
