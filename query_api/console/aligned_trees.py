"""Align the observations of two traces by name, type and order."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from query_api.console.tree_rows import TreeRow


@dataclass(frozen=True, slots=True)
class AlignedRow:
    """Observations of two traces at the same place; a side is None if its trace has none there."""

    depth: int
    left: TreeRow | None
    right: TreeRow | None

    @property
    def shown(self) -> TreeRow:
        """Return the observation that names the row."""
        found = self.left or self.right
        assert found is not None
        return found


def aligned_rows(left: Sequence[TreeRow], right: Sequence[TreeRow]) -> Iterator[AlignedRow]:
    """Yield the rows of two trees, parents before children, in linear time.

    Of the children of the same parent, the first with a name and type belongs to the first of the
    other trace, the second to the second. A row that only one trace has keeps its place.
    """
    waiting = [_pairs(left, right, None, None)]
    while waiting:
        pair = next(waiting[-1], None)
        if pair is None:
            waiting.pop()
            continue
        at_left, at_right = pair
        yield AlignedRow(
            len(waiting) - 1,
            None if at_left is None else left[at_left],
            None if at_right is None else right[at_right],
        )
        below_left = () if at_left is None else left
        below_right = () if at_right is None else right
        waiting.append(_pairs(below_left, below_right, at_left, at_right))


def _pairs(
    left: Sequence[TreeRow], right: Sequence[TreeRow], left_parent: int | None,
    right_parent: int | None,
) -> Iterator[tuple[int | None, int | None]]:  # fmt: skip
    """Yield the positions of children that belong together, in the order of the first trace."""
    lefts, rights = list(_children(left, left_parent)), list(_children(right, right_parent))
    unused: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
    for at in rights:
        unused[right[at].name, right[at].type].append(at)
    found: list[tuple[int | None, int | None]] = []
    places: dict[int, int] = {}
    for at in lefts:
        same = unused[left[at].name, left[at].type]
        partner = same.popleft() if same else None
        if partner is not None:
            places[partner] = len(found)
        found.append((at, partner))
    # What only the second trace has comes after what is before it there.
    alone: defaultdict[int, list[int]] = defaultdict(list)
    place = -1
    for at in rights:
        if at in places:
            place = places[at]
        else:
            alone[place].append(at)
    for at_place in range(-1, len(found)):
        if at_place >= 0:
            yield found[at_place]
        for at in alone.get(at_place, ()):
            yield None, at


def _children(rows: Sequence[TreeRow], parent: int | None) -> Iterator[int]:
    """Yield the positions of the children of a row, of which all descendants follow it."""
    at, end = (0, len(rows)) if parent is None else (parent + 1, 0)
    if parent is not None and rows:
        end = parent + 1 + rows[parent].descendants
    while at < end:
        yield at
        at += rows[at].descendants + 1
