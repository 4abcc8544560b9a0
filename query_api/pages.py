"""Define the pagination objects of the Langfuse API and of ``/v1``."""

from __future__ import annotations

import msgspec


class PageMeta(msgspec.Struct, rename="camel"):
    page: int
    limit: int
    total_items: int
    total_pages: int


class CursorMeta(msgspec.Struct, rename="camel", omit_defaults=True):
    cursor: str | None = None
    """Absent on the last page."""


class LimitedCursorMeta(CursorMeta, kw_only=True):
    limit: int


class NativeMeta(msgspec.Struct):
    has_more: bool
    cursor: str | None
    """Value of the parameter ``cursor`` for the next page; null on the last page."""


def page_meta(page: int, limit: int, total_items: int) -> PageMeta:
    return PageMeta(page, limit, total_items, -(-total_items // limit))
