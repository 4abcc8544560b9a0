"""Invalid price records are counted, and logged once."""

from __future__ import annotations

import structlog

from streams.observations import metrics
from streams.observations.ignored_prices import IgnoredPrices


def test_each_is_logged_once_and_all_are_counted() -> None:
    shown = IgnoredPrices()
    with structlog.testing.capture_logs() as logs:
        shown.show({"p1": "match: bad"})
        shown.show({"p1": "match: bad", "p2": "match: worse"})
    assert [(each["event"], each["price"], each["reason"]) for each in logs] == [
        ("price_ignored", "p1", "match: bad"),
        ("price_ignored", "p2", "match: worse"),
    ]
    assert metrics.PRICES_IGNORED._value.get() == 2
    shown.show({})
    assert metrics.PRICES_IGNORED._value.get() == 0
