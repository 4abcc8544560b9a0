"""Finding the newest page without reading everything there is.

A list that is sorted by time needs its newest rows only, but the store would merge all versions of all rows to find them. So the last minutes are
asked first, then the last day, then everything: a page that is full is complete, because whatever was left out is older. Where an index finds the
rows, everything is asked at once.
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
    question: FindTraces | FindObservations,
    row_type: type[Row],
    *,
    from_us: int | None,
    newest_us: int,
) -> list[Row]:
    """The page that ``question`` asks for, which must be sorted by time, newest first.

    ``from_us`` is the oldest time that its conditions allow, ``newest_us`` where most of its newest rows are to be expected.
    """
    for span_us in () if are_narrow(question.conditions) else SPANS_US:
        since_us = newest_us - span_us
        if from_us is not None and since_us <= from_us:
            break
        rows = await reader.rows(replace(question, since_us=since_us), row_type)
        if len(rows) >= question.limit:
            return rows
    return await reader.rows(question, row_type)
