"""Count the rows of a paged list."""

from __future__ import annotations

import msgspec

from query_api.langfuse.parameters import PageParameters
from query_api.store.reader import Reader
from query_api.store.sql import StoreQuery


class Total(msgspec.Struct):
    total: int


async def total_of(reader: Reader, count: StoreQuery, page: PageParameters, found: int) -> int:
    """Return the total; do not run ``count`` if a page with ``found`` rows must be the last."""
    if found < page.limit and (found or not page.offset):
        return page.offset + found
    row = await reader.row(count, Total)
    return row.total if row else 0
