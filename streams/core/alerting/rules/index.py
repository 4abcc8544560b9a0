"""Find the series that a merged row belongs to, by the shape of their filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Final

import msgspec

from producers.alerting.metric import Source
from producers.dimensions.registry import REGISTRY
from streams.core.alerting.rules.panes import Bins, Group, Pane
from streams.core.alerting.rules.rows import MergedRow, Merger
from streams.core.alerting.rules.series import Series, SeriesKey
from streams.core.dimensions.keys import CellKey

COMBINATIONS_MAX: Final = 256
"""Combinations of the values of a filter that are indexed; larger filters are tested one by one."""
SETS: Final = frozenset(each.name for each in REGISTRY.all() if each.is_array)
"""Dimensions whose values are JSON arrays; a filter selects those that contain one of its
values."""

Test = Callable[[CellKey], bool]


@dataclass(slots=True)
class Gathered:
    """The sum of rows of one pane and group."""

    pane: Pane
    traces: list[str]
    append_us: int


@dataclass(slots=True)
class Bundle:
    """Series that add up the same for different windows, and what is to be added to them.

    Attributes:
        series: the series.
        tests: further conditions on the key of a row.
        group_of: returns the group of a row.
        read: returns the measures of a row.
        bins_at: index of the mapping of a row with the sketch; None if there is none.
        numerators: indices of the measures whose increase makes a trace an exemplar.
        raised: bits of the numbers of a row that are these measures; None if there are others.
    """

    tests: list[Test]
    group_of: Callable[[CellKey], Group]
    read: Callable[[MergedRow], list[int]]
    bins_at: int | None
    numerators: tuple[int, ...]
    raised: int | None
    series: list[Series] = field(default_factory=list)
    _gathered: dict[tuple[int, Group], Gathered] = field(default_factory=dict)

    def gather(self, start_s: int, row: MergedRow) -> None:
        """Add a row."""
        key = row.key
        for test in self.tests:
            if not test(key):
                return
        sums = self.read(row)
        bins: Bins = {} if self.bins_at is None else row.mappings[self.bins_at]
        place = (start_s, self.group_of(key))
        found = self._gathered.get(place)
        if found is None:
            found = self._gathered[place] = Gathered(Pane(sums, dict(bins)), [], row.append_us)
        else:
            found.pane.add(sums, bins)
            found.append_us = max(found.append_us, row.append_us)
        is_example = bool(bins) or (
            self.bins_at is None and any(sums[index] > 0 for index in self.numerators)
        )
        if is_example and row.traces:
            wanted = None if bins else self.raised
            found.traces += [
                trace_id for trace_id, raised in row.traces if wanted is None or raised & wanted
            ]

    def take(self) -> dict[tuple[int, Group], Gathered]:
        """Return what was gathered."""
        gathered, self._gathered = self._gathered, {}
        return gathered


@dataclass(slots=True)
class _Shape:
    project: Callable[[CellKey], tuple[str, ...]]
    bundles: dict[tuple[str, ...], list[Bundle]] = field(default_factory=dict)


class SeriesIndex:
    """The series of one source and project."""

    def __init__(self, merger: Merger) -> None:
        self.bundles: dict[SeriesKey, Bundle] = {}
        self._names = merger.dimensions
        self._merger = merger
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def attach(self, series: Series, numerators: tuple[int, ...]) -> None:
        """Add a series, whose dimensions the merger has."""
        key = series.key
        same = replace(key, window_s=0, calendar="", time_zone="")
        bundle = self.bundles.get(same)
        if bundle is None:
            bundle = self.bundles[same] = self._new_bundle(key, numerators)
        bundle.series.append(series)

    def _new_bundle(self, key: SeriesKey, numerators: tuple[int, ...]) -> Bundle:
        indexed = {name: values for name, values in key.filter if name not in SETS}
        if prod(map(len, indexed.values())) > COMBINATIONS_MAX:
            indexed = {}
        tests = [self._test(name, values) for name, values in key.filter if name not in indexed]
        bundle = Bundle(
            tests,
            self._projection(key.group_by),
            self._merger.reader(key.measures),
            self._merger.mappings.index(key.bins) if key.bins else None,
            numerators,
            self._merger.raised_by(key.measures[index] for index in numerators),
        )
        names = tuple(indexed)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = _Shape(self._projection(names))
        for values in product(*indexed.values()):
            shape.bundles.setdefault(values, []).append(bundle)
        return bundle

    def gather(self, start_s: int, row: MergedRow) -> None:
        """Add a row to the bundles whose filter selects it."""
        for shape in self._shapes.values():
            for bundle in shape.bundles.get(shape.project(row.key), ()):
                bundle.gather(start_s, row)

    def _projection(self, names: Sequence[str]) -> Callable[[CellKey], tuple[str, ...]]:
        indices = [self._names.index(name) for name in names]
        if not indices:
            return lambda _: ()
        return lambda key: tuple([key[index] for index in indices])

    def _test(self, name: str, values: tuple[str, ...]) -> Test:
        index, wanted = self._names.index(name), frozenset(values)
        if name in SETS:
            return lambda key: not wanted.isdisjoint(members(key[index]))
        return lambda key: key[index] in wanted


@lru_cache(maxsize=4_096)
def members(text: str) -> frozenset[str]:
    """Return the elements of a JSON array of strings; none for another text."""
    try:
        return frozenset(msgspec.json.decode(text, type=list[str])) if text else frozenset()
    except msgspec.DecodeError:
        return frozenset()


@dataclass(frozen=True, slots=True)
class RuleSource:
    """What gathers the changes of one source for the series of a project.

    Attributes:
        older: merges deltas that are read again.
    """

    name: Source
    merger: Merger
    older: Merger
    index: SeriesIndex

    @classmethod
    def of(cls, name: Source, keys: Sequence[SeriesKey]) -> RuleSource:
        """Return a source without series, for series with these keys."""
        merger = merger_of(name, keys)
        return cls(name, merger, merger_of(name, keys), SeriesIndex(merger))


def merger_of(source: Source, keys: Iterable[SeriesKey]) -> Merger:
    """Return a merger of the fields and dimensions that the series of a source use."""
    fields: list[str] = []
    dimensions: set[str] = set()
    for key in keys:
        if key.source == source:
            fields += [measure.field for measure in key.measures]
            fields += [key.bins] if key.bins else []
            dimensions |= {*key.group_by, *(name for name, _ in key.filter)}
    return Merger(source, fields, dimensions)
