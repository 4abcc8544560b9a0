"""How often the sink fetches and inserts depends on the traffic."""

from __future__ import annotations

import pytest

from clickhouse.feeds import FEEDS
from clickhouse.sink.batches import Pace
from clickhouse.sink.settings import SinkSettings

SETTINGS = SinkSettings(light_traffic_bytes_per_s=1_000)


def pace_under(bytes_per_s: int) -> Pace:
    pace = Pace(SETTINGS, FEEDS)
    for second in range(10):
        pace.fetched(bytes_per_s, float(second))
    return pace


def test_light_traffic_is_fetched_at_the_shortest_interval() -> None:
    assert pace_under(500).fetch_interval_s == SETTINGS.fetch_interval_s


def test_heavier_traffic_is_fetched_and_inserted_less_often() -> None:
    light, heavy = pace_under(500), pace_under(4_000)
    assert light.fetch_interval_s < heavy.fetch_interval_s < SETTINGS.fetch_interval_max_s
    growth = heavy.fetch_interval_s / light.fetch_interval_s
    ages_s = [each.interval_s("observations") for each in (light, heavy)]
    assert ages_s[1] / ages_s[0] == pytest.approx(growth)


def test_a_flood_is_fetched_at_the_longest_interval() -> None:
    assert pace_under(1_000_000).fetch_interval_s == SETTINGS.fetch_interval_max_s
