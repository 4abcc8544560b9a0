"""Each alert is in one message per group, whose content no crash changes."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from producers.notifications.alert import Alert
from streams.core.notifications.groups import Batch, GroupBook, GroupKey, Seal, Timing
from streams.notifications.rate import WINDOW_US, ChannelRates

SECOND_US = 1_000_000
KEY = GroupKey("c1", "r1", (("rule_id", "x"),))
TIMING = Timing(wait_us=10 * SECOND_US, interval_us=100 * SECOND_US, repeat_us=SECOND_US)


def alert(alert_id: str, at_s: int, state: str = "firing", episode: str = "") -> Alert:
    return Alert(
        project_id="p", id=alert_id, event=f"alert.{state}", rule_kind="alert_rule", rule_id="x",
        name="n", episode=episode or alert_id, state=state, created_us=at_s * SECOND_US,
    )  # fmt: skip


def add(book: GroupBook, each: Alert, key: GroupKey = KEY) -> Batch:
    batch = book.add(each, key, TIMING, repeats=True)
    assert batch is not None
    return batch


def test_the_first_message_waits_and_later_changes_wait_for_the_interval() -> None:
    book = GroupBook()
    first = add(book, alert("a", 1_000))
    assert first.due_us == 1_010 * SECOND_US
    assert add(book, alert("b", 1_005)) is first
    book.seal(first, 1_010 * SECOND_US)
    book.end(first.id)
    second = add(book, alert("c", 1_020))
    assert second.due_us == 1_110 * SECOND_US
    book.seal(second, 1_110 * SECOND_US)
    book.end(second.id)
    late = add(book, alert("d", 2_000))
    assert late.due_us == 2_000 * SECOND_US, "the interval is over, and the group still fires"


def test_a_group_that_was_resolved_begins_anew() -> None:
    book = GroupBook()
    for number, each in enumerate(
        [alert("a", 1_000, episode="e"), alert("b", 1_200, "resolved", episode="e")]
    ):
        batch = add(book, each)
        book.seal(batch, (1_010 + 200 * number) * SECOND_US)
        book.end(batch.id)
    group = book.group_of(KEY)
    assert group is not None
    assert group.firing == {}
    assert add(book, alert("c", 2_000)).due_us == 2_010 * SECOND_US
    assert group.firing_id == "c"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["alert", "again", "send", "finish", "crash", "crash"]),
            st.integers(0, 2),
            st.integers(0, 200),
        ),
        max_size=60,
    )
)
def test_no_crash_changes_a_sealed_message_or_puts_an_alert_into_two(
    steps: list[tuple[str, int, int]],
) -> None:
    log: list[bytes] = []
    alerts: list[tuple[Alert, GroupKey]] = []
    sent: dict[str, tuple[str, ...]] = {}
    now_s = 1_000

    def opened() -> GroupBook:
        book = GroupBook()
        for value in log:
            book.load(msgspec.json.decode(value, type=Seal))
        for each, key in alerts:
            book.add(each, key, TIMING, repeats=True)
        return book

    def send(book: GroupBook, batch: Batch, *, ends: bool) -> None:
        if not batch.is_sealed:
            book.seal(batch, now_s * SECOND_US)
            log.append(msgspec.json.encode(msgspec.structs.replace(batch.seal, is_pending=True)))
        ids = tuple(each.id for each in batch.alerts)
        assert sent.setdefault(batch.id, ids) == ids, "a message changed"
        if ends:
            log.append(msgspec.json.encode(batch.seal))
            book.end(batch.id)

    book = opened()
    for action, group, number in steps:
        now_s += number
        key = replace(KEY, labels=(("group", str(group)),))
        if action == "alert":
            each = alert(f"a{len(alerts)}", now_s)
            alerts.append((each, key))
            book.add(each, key, TIMING, repeats=True)
        elif action == "again" and alerts:
            book.add(*alerts[number % len(alerts)], TIMING, repeats=True)
        elif action == "crash":
            book = opened()
        elif book.batches and action in ("send", "finish"):
            batch = sorted(book.batches.values(), key=lambda each: each.id)[
                number % len(book.batches)
            ]
            send(book, batch, ends=action == "finish")
    book = opened()
    for batch in list(book.batches.values()):
        send(book, batch, ends=True)
    told = [each for ids in sent.values() for each in ids]
    assert sorted(told) == sorted(each.id for each, _ in alerts)
    book.forget(10**18)
    assert not book.batches


def test_a_channel_has_a_limited_rate() -> None:
    rates = ChannelRates()
    assert [rates.take("c", 2, number) for number in range(2)] == [0, 0]
    assert rates.take("c", 2, 5) == WINDOW_US
    assert rates.take("other", 2, 5) == 0
    assert rates.take("c", 2, WINDOW_US) == 0
    assert rates.take("c", 2, WINDOW_US) == WINDOW_US + 1
