"""Define canaries: empty records by which a hung stage is detected while no events arrive.

A canary has no lines, so that no stage writes a row, a delta or a dead letter for it, and no total
changes. Every stage processes it and commits its offset like any other record.
"""

from __future__ import annotations

from typing import Final

CANARY_VALUE: Final = b""
"""No lines; not null, which would be a tombstone on compacted topics."""
CANARY_HEADERS: Final = (("canary", b"1"),)
"""Marks canaries for people who read the log; no stage needs it."""
