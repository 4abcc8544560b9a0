"""Define canaries: empty records that show whether a stage works while no events arrive.

A canary has no lines, so no stage writes a row, a delta or a dead letter for it, and no total
changes. Each stage processes it and commits its offset like any other record.
"""

from __future__ import annotations

from typing import Final

CANARY_VALUE: Final = b""
"""An empty value. A null value would be a tombstone on compacted topics."""
CANARY_HEADERS: Final = (("canary", b"1"),)
"""Headers that show people who read the log that a record is a canary; no stage needs them."""
