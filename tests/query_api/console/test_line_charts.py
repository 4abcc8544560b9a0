"""The upper edges of charts, which have round values."""

from __future__ import annotations

import pytest

from query_api.console.line_charts import HEADROOM, upper_edge


@pytest.mark.parametrize(
    ("highest", "edge"), [(0.0031, 0.004), (0.9, 1), (44, 50), (170, 200), (95_000, 120_000)]
)
def test_edges_have_few_digits(highest: float, edge: float) -> None:
    assert upper_edge(highest) == pytest.approx(edge)


@pytest.mark.parametrize(
    ("highest_s", "edge_s"),
    [(0.9, 1), (20, 25), (44, 60), (75, 120), (100, 120), (700, 1_200), (1_600, 1_800),
     (2_000, 3_600), (4_000, 7_200), (100_000, 108_000)],
)  # fmt: skip
def test_edges_of_durations_are_whole_minutes_and_hours(highest_s: float, edge_s: float) -> None:
    edge = upper_edge(highest_s, of_seconds=True)
    assert edge == pytest.approx(edge_s)
    assert edge >= highest_s * HEADROOM
