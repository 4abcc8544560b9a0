"""All feeds: one module per table, each of which defines ``FEED``; they are found by name."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Final

from clickhouse.feed import Feed


def _declared() -> tuple[Feed, ...]:
    found: list[Feed] = [
        import_module(f"{__name__}.{module.name}").FEED for module in pkgutil.iter_modules(__path__)
    ]
    return tuple(found)


FEEDS: Final = _declared()
"""Sorted by the names of their modules."""

ROW_OF_TABLE: Final = {feed.table: feed.row for feed in FEEDS}
