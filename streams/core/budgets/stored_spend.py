"""Formulate the query of stored spend, and convert its rows to a result."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from clickhouse.spend_conditions import has_value_sql
from producers.control.periods import FOREVER_US, rolling_us
from streams.core.budgets.meters import SECOND_US
from streams.core.budgets.sums import SpendQuery, SpendResult
from streams.core.dimensions.keys import CellKey
from streams.core.dimensions.sources import SPEND_DIMENSIONS

_NAMES: Final = tuple(each.name for each in SPEND_DIMENSIONS)
_LATEST_S: Final = 2**32 - 1
"""The last second of the store's time columns."""


class StoredRow(msgspec.Struct):
    """The stored spend of a group."""

    start_s: int
    """Start of the quarter of an hour; 0 if the period is read as a whole."""
    values: tuple[str, ...]
    """Values of the dimensions of ``group_by``."""
    spent_pico: int
    newer: list[tuple[int, CellKey, int]]
    """Cells with changes after the query's offset: start, dimensions and row version."""


_rows: Final = msgspec.json.Decoder(StoredRow, strict=False)


def query_of(query: SpendQuery, version_base: int) -> tuple[str, dict[str, Any]]:
    """Return the SQL of a reading, and its parameters."""
    meter = query.meter
    is_rolling = bool(rolling_us(meter.period))
    start_s = -(-query.start_us // SECOND_US)
    end_s = _LATEST_S if query.end_us >= FOREVER_US else -(-query.end_us // SECOND_US)
    params: dict[str, Any] = {
        "project": meter.project_id,
        "start": start_s,
        "end": end_s,
        "version": max(0, version_base + query.offset + 1),
    }
    conditions = ""
    for number, (name, value) in enumerate(zip(_NAMES, meter.scope, strict=True)):
        if value is not None:
            params[f"scope_{number}"] = value
            placeholder = f"{{scope_{number}:String}}"
            conditions += f"\n    AND {has_value_sql(name, placeholder)}"
    start = "toUnixTimestamp(bucket_start)" if is_rolling else "0"
    values = f"[{', '.join(meter.group_by)}]" if meter.group_by else "emptyArrayString()"
    cell = f"(toUnixTimestamp(bucket_start), [{', '.join(_NAMES)}], row_version)"
    sql = f"""
SELECT {start} AS start_s, {values} AS values,
    toInt128(sum(total_cost) * 1000000000000) AS spent_pico,
    groupArrayIf({cell}, row_version > {{version:UInt64}}) AS newer
FROM spend FINAL
WHERE project_id = {{project:String}}
    AND bucket_start >= toDateTime({{start:UInt32}}, 'UTC')
    AND bucket_start < toDateTime({{end:UInt32}}, 'UTC'){conditions}
GROUP BY start_s, values
HAVING spent_pico != 0 OR notEmpty(newer)
"""  # noqa: S608  # names of the registry
    return sql, params


def result_of(lines: bytes, version_base: int) -> SpendResult:
    """Return the result of a reading from its rows.

    Raises:
        msgspec.DecodeError: the rows have another format.
    """
    spent: dict[tuple[int, tuple[str, ...]], int] = {}
    newer: dict[tuple[int, CellKey], int] = {}
    # One by one, because there may be a row for each of many users, with all their calls.
    for line in lines.splitlines():
        row = _rows.decode(line)
        at = row.start_s, row.values
        spent[at] = spent.get(at, 0) + row.spent_pico
        for start_s, key, version in row.newer:
            newer[start_s, key] = version - version_base - 1
    return SpendResult(spent, newer)
