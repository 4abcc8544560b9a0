"""Find the series that a merged row belongs to, by the shape of their filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from math import prod
from typing import Final

import msgspec

from streams.core.alerting.rules.panes import Group
from streams.core.alerting.rules.rows import DIMENSIONS_OF, MergedRow, Merger
from streams.core.alerting.rules.series import Series
from streams.core.dimensions.keys import CellKey

COMBINATIONS_MAX: Final = 256
"""Combinations of the values of a filter that are indexed; larger filters are tested one by one."""
SETS: Final = frozenset({"tags"})
"""Dimensions whose values are JSON arrays; a filter selects those that contain one of its
values."""

Test = Callable[[CellKey], bool]


@dataclass(slots=True)
class Attached:
    """A series, and the functions that compute from a row what is added to it."""

    series: Series
    tests: list[Test]
    group_of: Callable[[CellKey], Group]
    read: Callable[[MergedRow], list[int]]
    bins_at: int | None
    numerators: tuple[int, ...]


@dataclass(slots=True)
class _Shape:
    project: Callable[[CellKey], tuple[str, ...]]
    attached: dict[tuple[str, ...], list[Attached]] = field(default_factory=dict)


class SeriesIndex:
    """The series of one source and project."""

    def __init__(self, source: str, merger: Merger) -> None:
        self._names = DIMENSIONS_OF[source]
        self._merger = merger
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def attach(self, series: Series, numerators: tuple[int, ...]) -> None:
        """Add a series.

        Raises:
            ValueError: the source has no such dimension.
        """
        key = series.key
        indexed = {name: values for name, values in key.filter if name not in SETS}
        if prod(map(len, indexed.values())) > COMBINATIONS_MAX:
            indexed = {}
        tests = [self._test(name, values) for name, values in key.filter if name not in indexed]
        attached = Attached(
            series,
            tests,
            self._projection(key.group_by),
            self._merger.reader(key.measures),
            self._merger.mappings.index(key.bins) if key.bins else None,
            numerators,
        )
        names = tuple(indexed)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = _Shape(self._projection(names))
        for values in product(*indexed.values()):
            shape.attached.setdefault(values, []).append(attached)

    def of(self, key: CellKey) -> Iterable[Attached]:
        """Yield the series whose filter selects a cell."""
        for shape in self._shapes.values():
            for attached in shape.attached.get(shape.project(key), ()):
                if all(test(key) for test in attached.tests):
                    yield attached

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
