"""Query aggregates of observations, traces or scores, by step and dimensions."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal, NamedTuple

from query_api.store.conditions import Condition, conditions_sql, needs_full_texts
from query_api.store.joins import Join, join_sql
from query_api.store.levels import SKETCH_ROWS_MAX, Levels, level_rows_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery
from query_api.store.steps import Runs, step_start_sql

Source = Literal["observations", "traces", "scores", "windows", "spend"]

TIME_OF: Final[Mapping[Source, str]] = MappingProxyType(
    {
        "observations": "start_time",
        "traces": "start_time",
        "scores": "event_time",
        "windows": "window_start",
        "spend": "bucket_start",
    }
)

_ROWS: Final = frozenset({"observations", "traces", "scores"})
LONG_US: Final = 2 * 86_400 * 1_000_000
"""Range of rows above which a query is long."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """Columns of windows to read, from which levels."""

    levels: Levels
    columns: tuple[str, ...]
    group_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindSummaries(StoreQuery):
    """Select a row if a trace has an observation that repeats the usage of its descendants."""

    name: ClassVar[str] = "find_summaries"

    def write(self, _binder: Binder) -> str:
        return f"SELECT 1 AS found FROM traces\nWHERE {OF_PROJECT} AND notEmpty(summaries)\nLIMIT 1"


KeyType = Literal["String", "Int64", "Float64", "Decimal(38, 12)"]


class After(NamedTuple):
    """The last row of the previous page: its value in ``order``, and its groups."""

    value: int | float | str | None
    """Decimals and texts are strings."""
    type: KeyType
    keys: tuple[str | int, ...]
    """Its start if there are steps, and its dimensions."""


class Ranking(NamedTuple):
    """The groups that are shown: ``shown`` ones, those with the largest values of ``by``."""

    shown: int
    by: str
    of: Aggregate | None = None
    """The query whose range and rows determine the groups; None: the query itself."""


@dataclass(frozen=True, slots=True)
class Aggregate(StoreQuery):
    """Select ``start_s`` if there are steps, dimensions ``d0``… and measures ``m0``….

    Dimensions and measures are constant SQL, in which ``$0$`` stands for the first of ``keys``.
    ``from_us`` is inclusive, ``to_us`` exclusive. ``order`` has pairs of a selected column and
    whether it is descending; nulls are last.
    """

    name: ClassVar[str] = "aggregate"
    source: Source
    from_us: int
    to_us: int
    dimensions: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    runs: Runs | None = None
    joins: tuple[Join, ...] = ()
    conditions: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int = 100
    rolled: Rolled | None = None
    has_full_rows: bool = False
    """Whether dimensions or measures need columns that only the table with full texts has."""
    keys: tuple[str, ...] = ()
    is_never_empty: bool = False
    """Whether groups without rows are left out; so is the only row of a query without groups."""
    top: Ranking | None = None
    """Other groups are combined, and marked by ``is_other``."""
    after: After | None = None
    of_page: Aggregate | None = None
    """A query with the same dimensions; only its groups are selected."""
    are_sums: bool = False
    """Whether each measure of several groups together is the sum of theirs."""
    of_traces: tuple[Condition, ...] = ()
    """Conditions on the columns of joined traces; observations of other traces are left out."""

    def block_rows(self) -> int:
        return 0 if self.rolled is None else SKETCH_ROWS_MAX

    def is_long(self) -> bool:
        return self.source in _ROWS and self.to_us - self.from_us > LONG_US

    def write(self, binder: Binder) -> str:
        times = start = ""
        if self.runs is not None:
            times, start = step_start_sql(self.runs, TIME_OF[self.source], binder)
        bound = _Bound(self, binder)
        if self.top is not None and self._has_sums_only(self.top):
            return self._in_one_pass(self.top, bound)
        dimensions = [f"{bound.sql(sql)} AS d{at}" for at, sql in enumerate(self.dimensions)]
        measures = [f"{bound.sql(sql)} AS m{at}" for at, sql in enumerate(self.measures)]
        names = [*(["start_s"] if start else []), *self._names]
        if self.top is not None and self.dimensions:
            dimensions = self._with_other(self.top, bound)
            names.append("is_other")
        selected = [*([start] if start else []), *dimensions, *measures]
        group = f"\nGROUP BY {', '.join(names)}" if names else ""
        order = self._order(names)
        return (
            f"{times}SELECT {f',{chr(10)}  '.join(selected)}\n"
            f"FROM {self.rows_sql(binder)}{group}{self._having(binder)}\n"
            + (f"ORDER BY {', '.join(order)}\n" if order else "")
            + f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )

    @property
    def _names(self) -> list[str]:
        return [f"d{at}" for at in range(len(self.dimensions))]

    def _order(self, names: Sequence[str]) -> list[str]:
        order = [f"{name}{' DESC' if is_desc else ''}" for name, is_desc in self.order]
        return order + [name for name in names if name not in dict(self.order)]

    def _has_sums_only(self, top: Ranking) -> bool:
        """Return whether the sums of other groups can be added up, so that rows are read once."""
        return self.are_sums and bool(self.dimensions) and self.runs is None and top.of is None

    def _in_one_pass(self, top: Ranking, bound: _Bound) -> str:
        """Return the query that sums up groups first, and then those of other groups."""
        keys = [f"r{at}" for at in range(len(self.dimensions))]
        sums = [f"v{at}" for at in range(len(self.measures))]
        of_group = zip((*self.dimensions, *self.measures), (*keys, *sums), strict=True)
        selected = ", ".join(f"{bound.sql(sql)} AS {name}" for sql, name in of_group)
        names = [*self._names, "is_other"]
        dimensions = [f"if(is_other, '', toString({key})) AS d{at}" for at, key in enumerate(keys)]
        measures = [f"sum({name}) AS m{at}" for at, name in enumerate(sums)]
        number = f"row_number() OVER (ORDER BY rank DESC, {', '.join(keys)})"
        shown = bound.binder.bind(top.shown, "UInt32")
        return (
            f"SELECT {', '.join([*dimensions, *measures])}, is_other\nFROM (\n"
            f"SELECT {', '.join([*keys, *sums])}, {number} > {shown} AS is_other\n"
            f"FROM (\nSELECT {selected}, {bound.sql(top.by)} AS rank\n"
            f"FROM {self.rows_sql(bound.binder)}\n"
            f"GROUP BY {', '.join(keys)}{self.existing_sql()}\n)\n)\n"
            f"GROUP BY {', '.join(names)}\n"
            f"ORDER BY {', '.join(self._order(names))}\n"
            f"LIMIT {bound.binder.bind(self.limit, 'UInt32')}"
        )

    def _with_other(self, top: Ranking, bound: _Bound) -> list[str]:
        """Return the selected dimensions, of which those of other groups are empty."""
        ranked = top.of or self
        expressions = [bound.sql(sql) for sql in self.dimensions]
        key = f"tuple({', '.join(expressions)})"
        of_ranked = [bound.sql(sql) for sql in ranked.dimensions]
        names = ", ".join(f"r{at}" for at in range(len(of_ranked)))
        selected = ", ".join(f"{sql} AS r{at}" for at, sql in enumerate(of_ranked))
        found = (
            f"SELECT tuple({names}) FROM (\n"
            f"SELECT {selected}, {bound.sql(top.by)} AS rank\n"
            f"FROM {ranked.rows_sql(bound.binder)}\n"
            f"GROUP BY {names}{ranked.existing_sql()}\n"
            f"ORDER BY rank DESC, {names}\n"
            f"LIMIT {bound.binder.bind(top.shown, 'UInt32')}\n)"
        )
        return [
            f"{key} NOT IN (\n{found}\n) AS is_other",
            *(f"if(is_other, '', toString({sql})) AS d{at}" for at, sql in enumerate(expressions)),
        ]

    def existing_sql(self) -> str:
        """Return the clause that leaves out groups without rows.

        In rollups, corrections may have reduced them to zero.
        """
        if self.source in {"windows", "spend"}:
            return "\nHAVING (sum(observation_count) != 0 OR sum(total_cost) != 0)"
        return "\nHAVING count() > 0" if self.is_never_empty else ""

    def _having(self, binder: Binder) -> str:
        having = self.existing_sql()
        conditions = []
        if self.after is not None:
            conditions.append(_after_sql(self.after, self.order[0], self._keys(), binder))
        if self.of_page is not None:
            names = ", ".join(self._names)
            page = self.of_page.write(binder)
            conditions.append(f"tuple({names}) IN (\nSELECT tuple({names}) FROM (\n{page}\n)\n)")
        if not conditions:
            return having
        return f"{having}{' AND' if having else chr(10) + 'HAVING'} {' AND '.join(conditions)}"

    def _keys(self) -> list[str]:
        return [*(["start_s"] if self.runs is not None else []), *self._names]

    @property
    def table(self) -> str:
        """Return the table with the rows of the source."""
        if self.source != "observations":
            return self.source
        is_full = self.has_full_rows or needs_full_texts(self.conditions)
        return "observations" if is_full else "observations_slim"

    def rows_sql(self, binder: Binder) -> str:
        """Return the table, or subquery, with the rows of the range."""
        if self.rolled is not None:
            rolled = self.rolled
            return level_rows_sql(
                rolled.levels, rolled.columns, rolled.group_by, self.conditions, binder
            )
        table = self.table
        time = TIME_OF[self.source]
        of_traces = conditions_sql(self.of_traces, binder)
        joins = "".join(f"\n{join_sql(each, table, of_traces)}" for each in self.joins)
        if self.source in {"windows", "spend"}:
            bounds = [
                f"toDateTime({binder.bind(at_us // 1_000_000, 'Int64')}, 'UTC')"
                for at_us in (self.from_us, self.to_us)
            ]
        else:
            bounds = [binder.instant(self.from_us), binder.instant(self.to_us)]
        return (
            f"{table} FINAL{joins}\nWHERE {OF_PROJECT}\n  AND {time} >= {bounds[0]}"
            f"\n  AND {time} < {bounds[1]}{conditions_sql(self.conditions, binder)}"
        )


class _Bound:
    """Replaces the keys in the SQL of dimensions and measures by parameters."""

    def __init__(self, query: Aggregate, binder: Binder) -> None:
        self.binder = binder
        self._keys = binder.texts(query.keys) if query.keys else ""

    def sql(self, text: str) -> str:
        return _KEY.sub(lambda found: f"{self._keys}[{int(found[1]) + 1}]", text)


_KEY: Final = re.compile(r"\$(\d+)\$")


def _after_sql(after: After, order: tuple[str, bool], names: Sequence[str], binder: Binder) -> str:
    """Return the condition for rows after another one, in an order with nulls last."""
    name, is_desc = order
    types = ["Int64" if isinstance(each, int) else "String" for each in after.keys]
    last = [binder.bind(key, each) for key, each in zip(after.keys, types, strict=True)]
    is_later = f"tuple({', '.join(names)}) > tuple({', '.join(last)})" if names else "false"
    if after.value is None:
        return f"(isNull({name}) AND {is_later})"
    bound = _bound_value(after.value, after.type, binder)
    return (
        f"({name} {'<' if is_desc else '>'} {bound} OR isNull({name})"
        f" OR ({name} = {bound} AND {is_later}))"
    )


def _bound_value(value: float | str, key_type: KeyType, binder: Binder) -> str:
    if key_type == "Float64":
        # The store parses decimal texts of doubles with a small error.
        (bits,) = struct.unpack("<q", struct.pack("<d", value))
        return f"reinterpretAsFloat64({binder.bind(bits, 'Int64')})"
    return binder.bind(value, key_type)
