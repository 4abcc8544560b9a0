"""Collect all feeds: each module of this package defines one as ``FEED``."""

from __future__ import annotations

import sys
from typing import Final

from clickhouse.feed import Feed
from producers.registration import modules_in

FEEDS: Final[tuple[Feed, ...]] = tuple(module.FEED for module in modules_in(sys.modules[__name__]))
"""All feeds, sorted by module name."""

ROW_OF_TABLE: Final = {feed.table: feed.row for feed in FEEDS}
