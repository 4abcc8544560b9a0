"""Takes back the changes of a delta that raised: each change first notes what it replaces.

What is noted grows with what a delta changes, not with the cells that it changes it in.
"""

from __future__ import annotations

from typing import Any

Undo = list[tuple[Any, Any, Any]]
"""A dictionary, a key, and its total before; or a cell, ``None``, and its numbers before."""


def take_back(undo: Undo) -> None:
    """Restore what was noted, the latest change first: a cell may have changed more than once."""
    for target, key, before in reversed(undo):
        if key is None:
            target.restore(before)
        elif before:
            target[key] = before
        else:
            target.pop(key, None)
    undo.clear()
