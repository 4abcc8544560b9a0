"""How many rows a paged list has."""

from __future__ import annotations

import msgspec

from query_api.langfuse.parameters import PageParameters
from query_api.store.reader import Reader
from query_api.store.sql import Question


class Total(msgspec.Struct):
    total: int


async def total_of(reader: Reader, count: Question, page: PageParameters, found: int) -> int:
    """What ``count`` says, unless a page with ``found`` rows is the last one and so says it itself."""
    if found < page.limit and (found or not page.offset):
        return page.offset + found
    row = await reader.row(count, Total)
    return row.total if row else 0
