"""Tiles are moved in a grid that they fill row by row."""

from __future__ import annotations

import pytest

from query_api.console.dashboard_layout import Direction, moved

WIDTHS = (2, 2, 4, 1, 1, 2)  # rows: 0 1 / 2 / 3 4 5


@pytest.mark.parametrize(
    ("at", "direction", "order"),
    [
        (0, "right", [1, 0, 2, 3, 4, 5]),
        (0, "left", [0, 1, 2, 3, 4, 5]),
        (5, "right", [0, 1, 2, 3, 4, 5]),
        (4, "left", [0, 1, 2, 4, 3, 5]),
        (2, "up", [2, 0, 1, 3, 4, 5]),
        (4, "up", [0, 1, 4, 2, 3, 5]),
        (1, "up", [1, 0, 2, 3, 4, 5]),
        (0, "down", [1, 2, 0, 3, 4, 5]),
        (2, "down", [0, 1, 3, 2, 4, 5]),
        (3, "down", [0, 1, 2, 4, 5, 3]),
    ],
)
def test_a_tile_moves_to_its_neighbour_or_to_the_next_row(
    at: int, direction: Direction, order: list[int]
) -> None:
    assert moved(WIDTHS, at, direction) == order
