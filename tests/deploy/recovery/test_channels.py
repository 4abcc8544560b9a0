"""After a recovery, channels receive exactly the messages that they have not received before."""

from __future__ import annotations

import msgspec

from clickhouse.alert_rows import row_of_alert
from clickhouse.delivery_rows import DeliveryAttemptRow
from clickhouse.rows import AlertRow
from clickhouse.store import Store
from deploy.recovery.channels import EndedMessage, ended_messages, read_messages
from producers.control.kinds.channel import Channel
from producers.control.kinds.route import Route
from producers.notifications.alert import Alert
from producers.notifications.registry import EVENT_TYPES
from producers.notifications.rule_change import RuleChange
from streams.core.notifications.groups import Batch, GroupBook
from streams.core.notifications.selection import groups_of
from tests.clickhouse.rows_for_tests import write

CHANNELS = [
    Channel(id=name, project_id="p", name=name, type="slack", created_us=0, events=events)
    for name, events in (("by_event", ("alert.firing",)), ("by_route", ()))
]
ROUTE = Route(
    id="r", project_id="p", name="r", channel_ids=("by_route",), severities=("warning",),
    created_us=0, group_by=("rule_id",),
).changed({"severities": ("critical",)}, 100)  # fmt: skip
RECORDS = [*CHANNELS, ROUTE]


def alert(number: int, at_us: int, **fields: str) -> Alert:
    change = RuleChange(metric="cost", comparison=">", window_start_us=0, window_end_us=1)
    given = {"state": "firing", "severity": "warning", "episode": f"e{number}"} | fields
    return Alert(
        project_id="p", id=f"a{number}", rule_kind="alert_rule", rule_id="x", name="n",
        payload=msgspec.Raw(msgspec.json.encode(change)), created_us=at_us,
        event=f"alert.{given['state']}", **given,
    )  # fmt: skip


ALERTS = [
    alert(1, 10), alert(2, 20), alert(3, 200, severity="critical"), alert(4, 300),
    alert(5, 400, state="resolved", episode="e1"),
]  # fmt: skip


def added(book: GroupBook, *alerts: Alert) -> list[Batch]:
    """Add alerts as the worker does; return the batches that would be sent."""
    fired_us = tuple(each.created_us for each in ALERTS if each.episode == "e1")
    batches = {}
    for each in alerts:
        is_end = each.state == "resolved"
        found = groups_of(each, CHANNELS, [ROUTE], fired_us=fired_us if is_end else ())
        for key, timing in found:
            batch = book.add(each, key, timing, repeats=False)
            if batch is not None:
                batches[batch.id] = batch
    return list(batches.values())


def restored(messages: list[EndedMessage]) -> GroupBook:
    rows: list[AlertRow] = [row_of_alert(each, EVENT_TYPES[each.event]) for each in ALERTS]
    book = GroupBook()
    for _, state in ended_messages(messages, rows, RECORDS):
        assert state.seal is not None
        book.load(state.seal)
    return book


def ended(batch: Batch) -> EndedMessage:
    return EndedMessage(batch.id, [each.id for each in batch.alerts], 500)


def test_what_was_sent_is_not_sent_again_and_the_rest_is() -> None:
    sent = added(GroupBook(), *ALERTS[:3])
    assert len(sent) == 4, "three of the event, and one group of the route"
    again = added(restored([ended(each) for each in sent]), *ALERTS)
    assert [[each.id for each in batch.alerts] for batch in again] == [["a4"], ["a5"]]


def test_a_repetition_and_a_message_of_a_deleted_route_are_left_out() -> None:
    rows = [row_of_alert(each, EVENT_TYPES[each.event]) for each in ALERTS]
    (of_route,) = [each for each in added(GroupBook(), ALERTS[0]) if each.group.key.source == "r"]
    repetition = EndedMessage(f"{of_route.id}.500", ["a1"], 500)
    assert dict(ended_messages([ended(of_route), repetition], rows, RECORDS)).keys() == {
        of_route.id
    }
    assert not dict(ended_messages([ended(of_route)], rows, CHANNELS))


async def test_only_messages_that_ended_are_read_from_the_store(clickhouse_store: Store) -> None:
    def attempt(delivery: str, number: int, status: str, kind: str = "channel") -> None:
        rows.append(
            DeliveryAttemptRow(
                project_id="p", delivery_id=delivery, attempt=number, alert_ids=(f"a{number}",),
                target_kind=kind, target_id="c", status=status, created_us=1,
                attempted_us=100 + number, row_version=100 + number,
            )
        )  # fmt: skip

    rows: list[DeliveryAttemptRow] = []
    attempt("done", 1, "pending")
    attempt("done", 2, "delivered")
    attempt("open", 1, "pending")
    attempt("webhook", 1, "delivered", "webhook")
    await write(clickhouse_store, "delivery_log", *rows)
    (found,) = await read_messages(clickhouse_store)
    assert (found.delivery_id, sorted(found.alerts), found.sent_us) == ("done", ["a1", "a2"], 101)
