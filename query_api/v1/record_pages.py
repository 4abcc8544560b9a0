"""Split lists of control records into pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from pydantic import Field

from producers.control.record import ControlRecord
from query_api import cursors
from query_api.numbers import Whole
from query_api.pages import NativeMeta
from query_api.v1.parameters import NativeParameters

RecordT = TypeVar("RecordT", bound=ControlRecord)


PAGE_MAX: Final = 1_000


class ListParameters(NativeParameters):
    """Paging, oldest records first. Without parameters, all records are returned."""

    limit: Whole | None = Field(default=None, ge=1, le=PAGE_MAX)
    cursor: cursors.CursorText | None = Field(
        default=None, description="`meta.cursor` of the previous page."
    )


class _Position(msgspec.Struct):
    created_us: int
    id: str


def page_of(
    records: Sequence[RecordT], parameters: ListParameters
) -> tuple[Sequence[RecordT], NativeMeta | msgspec.UnsetType]:
    """Return a page of records, which must be sorted by position; all without parameters."""
    if parameters.cursor is not None:
        after = cursors.decode(parameters.cursor, _Position)
        records = [each for each in records if each.position > (after.created_us, after.id)]
    if parameters.limit is None and parameters.cursor is None:
        return records, msgspec.UNSET
    limit = parameters.limit or PAGE_MAX
    page, has_more = records[:limit], len(records) > limit
    cursor = cursors.encode(_Position(*page[-1].position)) if has_more else None
    return page, NativeMeta(has_more=has_more, cursor=cursor)
