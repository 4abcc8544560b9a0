"""Explain a query: which source answers it, why, and about how much would be read."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from query_api.query.answers import sources_of
from query_api.query.engine import BYTES_UNIT, ROWS_UNIT, QueryEngine, rounded_up
from query_api.query.planned_query import PlannedQuery, plan_earlier, plan_query
from query_api.query.request import QueryRequest
from query_api.store.queries.aggregates import Aggregate
from query_api.times import SECOND_US

_WORD: Final = re.compile(r"[a-z_][a-z0-9_]*")
_COLUMNS: Final = """
SELECT table, name, toFloat64(data_uncompressed_bytes) AS bytes
FROM system.columns WHERE database = {database:String} AND table IN {tables:Array(String)}
"""
_PARTS: Final = """
SELECT table, toInt64(sum(rows)) AS rows, toInt64(sum(data_uncompressed_bytes)) AS bytes
FROM system.parts
WHERE active AND database = {database:String} AND table IN {tables:Array(String)}
GROUP BY table
"""


class _Estimate(msgspec.Struct):
    table: str
    rows: int


class _Column(msgspec.Struct):
    table: str
    name: str
    bytes: float


class _Parts(msgspec.Struct):
    table: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TableEstimate:
    """About what would be read of a table, with all versions of rows."""

    table: str
    rows: int
    """Rounded up to multiples of 8,192."""
    bytes: int
    """Rounded up to MiB."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The source of a query, and why cheaper ones are excluded."""

    now: PlannedQuery
    before: PlannedQuery | None
    sources: list[str]
    seconds: dict[str, int]
    """Seconds of the range that are read from windows, hours and days."""
    tables: list[TableEstimate]


async def explanation_of(engine: QueryEngine, request: QueryRequest) -> Explanation:
    """Plan a query without running it. Raises as ``answer_of``."""
    now = await plan_query(engine, request)
    before = await plan_earlier(engine, now)
    found: dict[str, TableEstimate] = {}
    for each in (now, before):
        if each is None:
            continue
        for one in await _estimates(engine, each.aggregate):
            known = found.get(one.table, TableEstimate(one.table, 0, 0))
            found[one.table] = TableEstimate(
                one.table,
                known.rows + one.rows,
                known.bytes + one.bytes,
            )
    sources = await sources_of(engine, now.aggregate)
    return Explanation(now, before, sources, _seconds(now.aggregate), list(found.values()))


def _seconds(aggregate: Aggregate) -> dict[str, int]:
    if aggregate.rolled is None:
        return {aggregate.table: (aggregate.to_us - aggregate.from_us) // SECOND_US}
    return {
        table: sum(end_s - begin_s for begin_s, end_s in ranges)
        for table, ranges, _ in aggregate.rolled.levels.tables()
    }


async def _estimates(engine: QueryEngine, aggregate: Aggregate) -> list[TableEstimate]:
    text, params = aggregate.sql()
    store, reader = engine.store, engine.reader
    body = await reader.bounded(
        "explain",
        lambda bounds: store.query_bytes(f"EXPLAIN ESTIMATE {text}\n{bounds}", params),
    )
    estimates = msgspec.json.Decoder(_Estimate).decode_lines(body)
    of_tables = {"database": store.database, "tables": sorted({each.table for each in estimates})}
    columns = msgspec.json.Decoder(_Column).decode_lines(
        await reader.bounded(
            "explain", lambda bounds: store.query_bytes(f"{_COLUMNS}{bounds}", of_tables)
        )
    )
    parts = msgspec.json.Decoder(_Parts).decode_lines(
        await reader.bounded(
            "explain", lambda bounds: store.query_bytes(f"{_PARTS}{bounds}", of_tables)
        )
    )
    width_of = {each.table: _width(each, columns, set(_WORD.findall(text))) for each in parts}
    return [
        TableEstimate(
            each.table,
            rounded_up(each.rows, ROWS_UNIT),
            rounded_up(int(each.rows * width_of.get(each.table, 0.0)), BYTES_UNIT),
        )
        for each in estimates
    ]


def _width(parts: _Parts, columns: Sequence[_Column], words: Collection[str]) -> float:
    """Return the bytes of a row in the columns that a query names.

    Small parts have no sizes of columns; these are assumed to have the same shares of a row.
    """
    own = [each for each in columns if each.table == parts.table]
    whole = sum(each.bytes for each in own)
    named = sum(each.bytes for each in own if each.name in words)
    return parts.bytes / max(parts.rows, 1) * (named / whole if whole else 1.0)
