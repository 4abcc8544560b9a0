"""Roll back the changes of a delta whose application raised.

Each change first records the value that it replaces. So the size of the undo log depends on the
size of the delta, not on that of the cells.
"""

from __future__ import annotations

from typing import Any

Undo = list[tuple[Any, Any, Any]]
"""A dictionary, a key and its previous total; or a cell, None and its previous values."""


def roll_back(undo: Undo) -> None:
    """Restore all recorded values, latest first, because a cell may have changed more than once."""
    for target, key, before in reversed(undo):
        if key is None:
            target.restore(before)
        elif before:
            target[key] = before
        else:
            target.pop(key, None)
    undo.clear()
