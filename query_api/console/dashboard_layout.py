"""Move tiles of a dashboard in its grid, which they fill row by row in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

from query_api.dashboards.bodies import COLUMNS

Direction = Literal["left", "right", "up", "down"]
DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)


def moved(widths: Sequence[int], at: int, direction: Direction) -> list[int]:
    """Return the order of tiles, as their numbers, after one of them has moved.

    To the left and right, it changes places with its neighbour. Up and down, it goes before the
    tile that is above or below its left edge, or to the end.
    """
    order = list(range(len(widths)))
    if direction in {"left", "right"}:
        other = at + (1 if direction == "right" else -1)
        if 0 <= other < len(order):
            order[at], order[other] = order[other], order[at]
        return order
    places = _places(widths)
    row, column = places[at]
    order.remove(at)
    if direction == "up":
        above = [n for n in order if places[n][0] == row - 1 and places[n][1] <= column]
        order.insert(above[-1] if above else max(0, at - 1), at)
        return order
    below = [n for n in order if places[n][0] == row + 1]
    if not below:
        order.append(at)
        return order
    target = max((n for n in below if places[n][1] <= column), default=below[0])
    order.insert(order.index(target) + 1, at)
    return order


def _places(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Return the row and the first column of each tile."""
    places = []
    row = column = 0
    for width in widths:
        if column + width > COLUMNS:
            row, column = row + 1, 0
        places.append((row, column))
        column += width
    return places
