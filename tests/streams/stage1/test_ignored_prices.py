"""Invalid price records are counted, and logged once."""

from __future__ import annotations

import structlog

from streams.observations import metrics
from streams.observations.ignored_prices import IgnoredPrices


def test_each_is_logged_once_and_all_are_counted() -> None:
    reporter = IgnoredPrices()
    with structlog.testing.capture_logs() as logs:
        reporter.report({"p1": "match: bad"})
        reporter.report({"p1": "match: bad", "p2": "match: worse"})
    assert [(each["event"], each["price"], each["reason"]) for each in logs] == [
        ("price_ignored", "p1", "match: bad"),
        ("price_ignored", "p2", "match: worse"),
    ]
    assert metrics.PRICES_IGNORED._value.get() == 2
    reporter.report({})
    assert metrics.PRICES_IGNORED._value.get() == 0
