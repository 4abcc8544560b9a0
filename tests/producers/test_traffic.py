"""Intervals between batches grow with traffic, up to a limit."""

from __future__ import annotations

import pytest

from producers.traffic import Traffic


def traffic_of(bytes_per_s: int) -> Traffic:
    traffic = Traffic(light_bytes_per_s=1_000)
    for tenth in range(100):
        traffic.add(bytes_per_s // 10, tenth / 10)
    return traffic


def test_light_traffic_leaves_intervals_as_they_are() -> None:
    assert traffic_of(900).stretched(0.005, 0.03) == 0.005


def test_heavier_traffic_lengthens_intervals_in_proportion() -> None:
    twice, thrice = (traffic_of(load).stretched(0.005, 0.03) for load in (2_000, 3_000))
    assert 0.005 < twice < thrice < 0.03
    assert thrice / twice == pytest.approx(1.5)


def test_a_flood_lengthens_them_to_the_limit_or_not_at_all() -> None:
    assert traffic_of(1_000_000).stretched(0.005, 0.03) == 0.03
    assert traffic_of(1_000_000).stretched(0.05, 0.03) == 0.05


def test_after_a_pause_traffic_is_light_again() -> None:
    traffic = traffic_of(1_000_000)
    traffic.add(0, 40.0)
    assert traffic.stretched(0.005, 0.03) == 0.005
