"""Merge changes of the same cell, so that the cost of a rule does not grow with every change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from producers.alerting.metric import Source
from producers.alerting.scores import matcher_of
from producers.token_sides import INPUT, is_cached_input, side_of
from streams.core.alerting.rules.measures import Measure
from streams.core.alerting.rules.score_changes import ScoreChange, ScoreDelta
from streams.core.dimensions.keys import CellKey
from streams.core.dimensions.sources import SPEND_DIMENSIONS, WINDOW_DIMENSIONS
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta

EXEMPLARS_MAX: Final = 10
"""Traces that are kept for a group of a rule."""
TRACES_MAX: Final = 50
"""Traces that are kept for a cell while its changes are merged, whatever they have raised."""
MAPPINGS: Final = frozenset(
    {"usage", "error_types", "latency_bins", "ttft_bins", "rate_bins", "score_values"}
)
"""Fields of changes that are mappings to numbers."""
USAGE: Final = "usage"
USAGE_PARTS: Final[Mapping[str, Callable[[str], bool]]] = {
    "input_tokens": lambda usage_type: side_of(usage_type) == INPUT,
    "cached_input_tokens": is_cached_input,
}
"""Measures of windows that are sums of the usage types of a kind, whatever their spelling."""
SCORE_VALUES: Final = "score_values"
_DEFAULTS: Final = {each.name: each.default for each in (*WINDOW_DIMENSIONS, *SPEND_DIMENSIONS)}


@dataclass(slots=True)
class MergedRow:
    """The sum of changes of one cell.

    Attributes:
        key: values of the dimensions.
        numbers: sums of the numeric fields, in the order of ``Merger.numbers``.
        mappings: sums of the other fields, in the order of ``Merger.mappings``.
        traces: the last traces of the changes, oldest first, each with the numbers that it has
            raised: bit n stands for the one at index n.
        append_us: latest append time of the changes.
    """

    key: CellKey
    numbers: list[int]
    mappings: list[dict[Any, int]]
    traces: list[tuple[str, int]]
    append_us: int = 0


class Merger:
    """Merges the changes of one source and project, by start and key."""

    def __init__(self, source: Source, fields: Iterable[str], dimensions: Iterable[str]) -> None:
        """Create a merger; changes with equal values of ``dimensions`` are merged.

        Args:
            source: the source of the changes.
            fields: fields of the changes that are added up; one that does not exist is 0.
            dimensions: names of dimensions; the others are ignored.
        """
        self.dimensions = tuple(sorted({*dimensions}))
        named = (USAGE if name in USAGE_PARTS else name for name in fields)
        wanted = dict.fromkeys(["observations", *named])
        self.numbers = tuple(name for name in wanted if name not in MAPPINGS)
        self.mappings = tuple(name for name in wanted if name in MAPPINGS)
        self._numbers_of = _getter(self.numbers)
        self._key_of = _key_getter(source, self.dimensions)
        self._rows: dict[tuple[int, CellKey], MergedRow] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, start_s: int, change: Any, append_us: int) -> None:
        """Add a change that was appended at ``append_us``."""
        key = self._key_of(change)
        row = self._rows.get((start_s, key))
        if row is None:
            row = MergedRow(key, [0] * len(self.numbers), [{} for _ in self.mappings], [])
            self._rows[start_s, key] = row
        row.append_us = max(row.append_us, append_us)
        numbers, raised = row.numbers, 0
        for index, number in enumerate(self._numbers_of(change)):
            numbers[index] += number
            if number > 0:
                raised |= 1 << index
        for name, total in zip(self.mappings, row.mappings, strict=True):
            for part, number in getattr(change, name, _NOTHING).items():
                total[part] = total.get(part, 0) + number
        trace_id = getattr(change, "trace_id", "")
        if trace_id and (not row.traces or row.traces[-1] != (trace_id, raised)):
            row.traces.append((trace_id, raised))
            if len(row.traces) > TRACES_MAX:
                del row.traces[0]

    def take(self) -> list[tuple[int, MergedRow]]:
        """Return the merged rows with their starts, in the order of their first change."""
        rows, self._rows = self._rows, {}
        return [(start_s, row) for (start_s, _), row in rows.items()]

    def reader(self, measures: tuple[Measure, ...]) -> Callable[[MergedRow], list[int]]:
        """Return a function that returns the values of measures of a row."""
        readers = [self._reader(each) for each in measures]

        def read(row: MergedRow) -> list[int]:
            return [reader(row) for reader in readers]

        return read

    def raised_by(self, measures: Iterable[Measure]) -> int | None:
        """Return the bits of the numbers that are the measures; None if one is in a mapping."""
        bits = 0
        for name, _ in measures:
            if name not in self.numbers:
                return None
            bits |= 1 << self.numbers.index(name)
        return bits

    def _reader(self, measure: Measure) -> Callable[[MergedRow], int]:
        name, keys = measure
        if name in USAGE_PARTS:
            is_part, of_usage = USAGE_PARTS[name], self.mappings.index(USAGE)
            return lambda row: sum(
                number for each, number in row.mappings[of_usage].items() if is_part(each)
            )
        if name in self.mappings:
            at = self.mappings.index(name)
            if name == SCORE_VALUES:
                matchers = [matcher_of(each) for each in keys]
                return lambda row: sum(
                    number
                    for text, number in row.mappings[at].items()
                    if any(is_met(text) for is_met in matchers)
                )
            if keys:
                return lambda row: sum(row.mappings[at].get(key, 0) for key in keys)
            return lambda row: sum(row.mappings[at].values())
        index = self.numbers.index(name)
        return lambda row: row.numbers[index]


_NOTHING: Final[dict[Any, int]] = {}
_CHANGES: Final[dict[str, Any]] = {
    "windows": WindowDelta,
    "spend": SpendDelta,
    "scores": ScoreChange,
    "scored_calls": ScoreChange,
}


def _key_getter(source: Source, names: tuple[str, ...]) -> Callable[[Any], CellKey]:
    """Return a function that reads dimensions of a change."""
    change = _CHANGES[source]
    if len(names) > 1 and {*names} <= {*change.__struct_fields__}:
        return attrgetter(*names)
    own = frozenset(change.__struct_fields__)

    def read(change: Any) -> CellKey:
        return tuple(
            [
                getattr(change, name) if name in own else change.more.get(name, _DEFAULTS[name])
                for name in names
            ]
        )

    return read


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[int, ...]]:
    """Return a function that reads fields of a change; missing ones are 0."""
    fast = attrgetter(*names) if len(names) > 1 else None

    def read(change: Any) -> tuple[int, ...]:
        if fast is not None:
            try:
                return fast(change)
            except AttributeError:
                pass
        return tuple(getattr(change, name, 0) for name in names)

    return read


def changes_of(source: str, delta: Delta | ScoreDelta) -> Iterator[tuple[int, Any]]:
    """Yield the starts and the changes of a source."""
    if source == "scores":
        yield from getattr(delta, "scores", ())
    elif source == "scored_calls":
        yield from getattr(delta, "calls", ())
    elif source == "windows":
        for window in delta.windows:
            yield window.window_s, window
    else:
        for spend in delta.spend:
            yield spend.bucket_s, spend
