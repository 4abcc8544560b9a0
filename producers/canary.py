"""Canary records: empty records that pass through the pipeline so that a hung stage is noticed while
no events arrive.

A canary has no lines, so no stage makes a row, a delta or a dead letter of it, and no total changes.
Its offset moves through every stage like that of any other record.
"""

from __future__ import annotations

from typing import Final

CANARY_VALUE: Final = b""
"""No lines; never null, which would be a tombstone where topics are compacted."""
CANARY_HEADERS: Final = (("canary", b"1"),)
"""For people who look at the log; no stage needs them."""
