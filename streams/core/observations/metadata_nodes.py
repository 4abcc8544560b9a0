"""Define the tree of merged metadata, its value, and its timestamps as JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec

NEVER: Final = -1


class Leaf(msgspec.Struct, gc=False):
    """A scalar or a list, and when it was set."""

    logical_ts: int
    value: Any


class Branch(msgspec.Struct):
    """An object; updates before ``floor`` do not change it. 0: only floors above it count."""

    floor: int = 0
    children: dict[str, Leaf | Branch] = {}
    emptied: int = NEVER
    """When the key was last set to an empty object, which shows if there are no children."""

    @property
    def is_emptied(self) -> bool:
        return self.emptied != NEVER

    @property
    def exists(self) -> bool:
        """Return whether the key has an object at all."""
        return bool(self.children) or self.is_emptied


def has_later(branch: Branch, logical_ts: int) -> bool:
    return branch.emptied > logical_ts or any(
        child.logical_ts > logical_ts if isinstance(child, Leaf) else has_later(child, logical_ts)
        for child in branch.children.values()
    )


def copy_of(branch: Branch) -> Branch:
    # Leaves are copied because the timestamp of the note changes in place.
    return Branch(
        branch.floor,
        {
            key: Leaf(child.logical_ts, child.value) if isinstance(child, Leaf) else copy_of(child)
            for key, child in branch.children.items()
        },
        branch.emptied,
    )


def value_of(branch: Branch) -> dict[str, Any]:
    return {
        key: child.value if isinstance(child, Leaf) else value_of(child)
        for key, child in branch.children.items()
    }


def logical_times_of(branch: Branch) -> list[Any]:
    of_children = {
        key: child.logical_ts if isinstance(child, Leaf) else logical_times_of(child)
        for key, child in branch.children.items()
    }
    times = [branch.floor, of_children]
    return [*times, branch.emptied] if branch.is_emptied else times


def restored(value: dict[str, Any], logical_times: list[Any]) -> Branch:
    floor, of_children, *emptied = logical_times
    return Branch(
        floor,
        {
            key: restored(value[key], logical_ts)
            if isinstance(logical_ts, list)
            else Leaf(logical_ts, value[key])
            for key, logical_ts in of_children.items()
        },
        *emptied,
    )
