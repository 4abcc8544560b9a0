"""This machine's clock against the broker's, from the append times of records."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata

from producers.kafka.broker_clock import BrokerClock


def written(at_s: float, timestamp_type: int = 1) -> RecordMetadata:
    timestamp_ms = int(at_s * 1000)
    return RecordMetadata("t", 0, TopicPartition("t", 0), 0, timestamp_ms, timestamp_type, 0)


@pytest.mark.parametrize(
    ("append_s", "skew_s"),
    [(105.0, 0), (101.0, 0), (110.0, 0), (90.0, 9.999), (170.0, -60), (1_000_000.0, -999_890)],
)
def test_the_skew_is_what_a_round_trip_cannot_explain(append_s: float, skew_s: float) -> None:
    clock = BrokerClock(60)
    clock.observe(written(append_s), sent_s=100, acknowledged_s=110)
    assert clock.skew_s == pytest.approx(skew_s, abs=0.002)


async def test_a_clock_beyond_the_limit_is_a_fault_that_says_which_way() -> None:
    clock = BrokerClock(60)
    clock.observe(written(1_000), sent_s=1_059, acknowledged_s=1_060)
    assert await clock.fault() is None
    clock.observe(written(1_000), sent_s=1_000 + 86_400, acknowledged_s=1_000 + 86_400)
    assert await clock.fault() == (
        "this machine's clock is 86400 s ahead of the broker's; the maximum is 60 s"
    )
    clock.observe(written(200_000), sent_s=1_000, acknowledged_s=1_001)
    assert "behind the broker's" in str(await clock.fault())


def test_a_time_that_the_producer_set_says_nothing() -> None:
    clock = BrokerClock(60)
    clock.observe(written(5, timestamp_type=0), sent_s=100_000, acknowledged_s=100_001)
    assert clock.skew_s == 0
