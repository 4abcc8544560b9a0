"""Collect all feeds: one module per table defines ``FEED``; modules are discovered."""

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
"""All feeds, sorted by module name."""

ROW_OF_TABLE: Final = {feed.table: feed.row for feed in FEEDS}
