"""Write the rows of exports as lines of JSON, as CSV or as Parquet, a part at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from producers.csv_cells import csv_cell
from query_api.money import usd_text
from query_api.times import iso
from query_api.v1.export_parquet import parquet_of
from query_api.v1.export_rows import Row

Format = Literal["jsonl", "csv", "parquet"]
MEDIA_TYPES: Final[Mapping[Format, str]] = MappingProxyType(
    {
        "jsonl": "application/x-ndjson",
        "csv": "text/csv; charset=utf-8",
        "parquet": "application/vnd.apache.parquet",
    }
)


def parts_of(
    pages: AsyncIterator[list[Row]], fields: Sequence[str], form: Format
) -> AsyncIterator[bytes]:
    """Return the rows in a format, a page or a row group at a time."""
    if form == "parquet":
        return parquet_of(pages, fields)
    return lines_of(pages, fields, form)


async def lines_of(
    pages: AsyncIterator[list[Row]], fields: Sequence[str], form: Literal["jsonl", "csv"]
) -> AsyncIterator[bytes]:
    """Return the rows as lines, a page at a time; amounts are decimal texts in USD.

    In CSV, the first line has the names of the fields, and lists and objects are JSON texts.
    """
    if form == "csv":
        yield _csv([fields])
    async for page in pages:
        rows = [_readable(row) for row in page]
        if form == "csv":
            yield _csv([[csv_cell(row[field]) for field in fields] for row in rows])
        else:
            yield b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _readable(row: Row) -> Row:
    end_us = row["end"]
    return row | {
        "start": iso(row["start"]),
        "end": None if end_us is None else iso(end_us),
        "cost_usd": usd_text(row["cost_usd"]),
    }


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
