"""Rates of a topic are averages over the last minute."""

from __future__ import annotations

from query_api.health.topic_rates import TopicRates


def test_rates_are_averages_of_the_last_minute() -> None:
    rates = TopicRates()
    assert rates.per_s() == (0.0, 0.0)
    for second in range(200):
        rates.observe(second, second * 10, second * 5)
    assert rates.per_s() == (10.0, 5.0)
    for second in range(200, 300):
        rates.observe(second, 2_000, 1_000)
    assert rates.per_s() == (0.0, 0.0)
