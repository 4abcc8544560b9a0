"""States of deliveries, and the order in which they run."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.alert_rows import alert_of_row
from clickhouse.rows import AlertRow
from producers.notifications.registry import EVENT_TYPES
from streams.core.deliveries import dead_letter, retry_after_s
from streams.core.jobs.queue import JobQueue
from streams.core.jobs.state import JobState, ended, failed

NOW_US = 1_795_248_000_123_000
ALERT = alert_of_row(
    AlertRow(
        project_id="p1",
        id="alert_1",
        budget_id="bud_1",
        name="daily",
        scope='{"user_id":"u\\"1"}',
        period_start_us=1_795_219_200_000_000,
        threshold="0.8",
        spent_pico=80_000_000_001,
        limit_pico=100_000_000_000,
        trace_id="t1",
        created_us=NOW_US,
        row_version=1,
    )
)


def webhook_body(alert):
    return EVENT_TYPES[alert.event].webhook_body(alert)


def test_the_body_follows_the_contract():
    assert json.loads(webhook_body(ALERT)) == {
        "type": "budget.threshold_crossed",
        "timestamp": "2026-11-21T08:00:00.123Z",
        "data": {
            "budget_id": "bud_1",
            "name": "daily",
            "scope": {"user_id": 'u"1'},
            "period_start": "2026-11-21T00:00:00.000Z",
            "threshold": 0.8,
            "spent_usd": "0.080000000001",
            "limit_usd": "0.1",
            "trace_id": "t1",
            "group": {},
            "period_end": None,
            "rule_id": "bud_1",
            "rule_name": "daily",
            "alert_id": "alert_1",
            "episode_id": ALERT.episode,
            "state": ALERT.state,
            "severity": ALERT.severity,
            "labels": ALERT.labels,
            "value": "0.080000000001",
            "window_start": "2026-11-21T00:00:00.000Z",
            "window_end": None,
            "exemplars": ["t1"],
            "incomplete": False,
        },
    }


def test_an_alert_without_a_causing_trace_has_no_trace_in_the_api_either():
    """The limit of its budget was exceeded before the budget was created."""
    payload = EVENT_TYPES[ALERT.event].payload_of(ALERT)
    without = msgspec.json.encode(msgspec.structs.replace(payload, trace_id=""))
    alert = msgspec.structs.replace(ALERT, payload=msgspec.Raw(without))
    body = json.loads(webhook_body(alert))
    assert body["data"]["trace_id"] is None


@given(st.lists(st.integers(1, 10_000), max_size=8), st.floats(0, 1))
def test_a_delivery_that_always_fails_takes_its_whole_schedule_and_ends(schedule_s, jitter):
    delivery = JobState()
    now_us = NOW_US
    for pause_s in schedule_s:
        delivery = failed(delivery, now_us, "no", schedule_s=schedule_s, jitter=jitter)
        assert delivery.status == "pending"
        assert pause_s <= (delivery.next_attempt_us - now_us) / 1e6 <= pause_s * (1 + jitter) + 1e-6
        now_us = delivery.next_attempt_us
    delivery = failed(delivery, now_us, "no", schedule_s=schedule_s, jitter=jitter)
    assert (delivery.status, delivery.attempts) == ("exhausted", len(schedule_s) + 1)


def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_a_shorter_one():
    delivery = JobState()
    longer = failed(delivery, 0, "", schedule_s=(5,), jitter=0, retry_after_s=60)
    shorter = failed(delivery, 0, "", schedule_s=(5,), jitter=0, retry_after_s=1)
    assert (longer.next_attempt_us, shorter.next_attempt_us) == (60_000_000, 5_000_000)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999999999999999", 3_600),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        (format_datetime(datetime.fromtimestamp(NOW_US / 1e6 + 90, UTC), usegmt=True), 89.877),
        (format_datetime(datetime.fromtimestamp(NOW_US / 1e6 - 90, UTC), usegmt=True), 0),
        ("Sat, 21 Nov 2026 08:00:10", 9.877),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after_s(header, NOW_US, max_s=3_600) == pytest.approx(seconds, abs=0.001)


def test_an_exhausted_delivery_becomes_a_dead_letter_with_what_was_not_delivered():
    done = ended(JobState(attempts=9), "exhausted", 1, "status 500")
    letter = dead_letter(ALERT, "alert_1/w", done, webhook_body(ALERT))
    assert (letter.stage, letter.reason) == ("notifier", "webhook_exhausted")
    assert letter.detail == "10 attempts failed; the last one: status 500"
    assert letter.payload.encode() == webhook_body(ALERT)


def test_one_webhook_takes_no_more_than_its_share_of_attempts():
    queue = JobQueue(per_target_max=2, running_max=4)
    queue.widen("dead")  # its attempts succeeded until now
    for number in range(10):
        queue.put(f"dead{number}", "dead", 0)
    queue.put("other", "alive", 0)
    started = list(queue.start(0))
    assert ("other", "alive") in started
    assert [webhook for _, webhook in started].count("dead") == 2
    assert queue.has_waiting
    assert queue.is_limited_by_target
    for delivery, of_webhook in started:
        queue.done(delivery, of_webhook)
    assert not queue.is_limited_by_target


def test_attempts_end_and_the_next_ones_begin():
    queue = JobQueue(per_target_max=1, running_max=1)
    queue.put("a", "w", 5, created_us=2)
    queue.put("b", "w", 3, created_us=1)
    queue.put("a", "w", 1)
    assert list(queue.start(2)) == []
    assert queue.next_us() == 3
    assert list(queue.start(9)) == [("b", "w")]
    queue.done("b", "w")
    assert list(queue.start(9)) == [("a", "w")]
    assert "b" not in queue
    queue.done("a", "w")
    assert len(queue) == 0
