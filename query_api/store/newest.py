"""Find the newest page without reading all rows.

A page that is sorted by time needs only the newest rows, but the store would merge all versions of
all rows to find them. So the last minutes are queried first, then the last day, and then all rows.
As soon as a page is full, it is complete, because all other rows are older. If an index finds the
rows that meet the conditions, the first query is on all of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from query_api.store.conditions import are_narrow
from query_api.store.queries.observations import FindObservations
from query_api.store.queries.traces import FindTraces
from query_api.store.reader import Reader

Row = TypeVar("Row")

SPANS_US: Final = (600 * 1_000_000, 86_400 * 1_000_000)


async def find_newest(
    reader: Reader,
    query: FindTraces | FindObservations,
    row_type: type[Row],
    *,
    from_us: int | None,
    newest_us: int,
) -> list[Row]:
    """Return the page of ``query``, which must be sorted by time, newest first.

    ``from_us`` is the earliest time that the conditions allow. ``newest_us`` is the expected time
    of the newest rows.
    """
    for span_us in () if are_narrow(query.conditions) else SPANS_US:
        since_us = newest_us - span_us
        if from_us is not None and since_us <= from_us:
            break
        rows = await reader.rows(replace(query, since_us=since_us), row_type)
        if len(rows) >= query.limit:
            return rows
    return await reader.rows(query, row_type)
