"""Alerts are converted to records and rows and back, old ones included."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.alert_rows import alert_of_record, alert_of_row, row_of_alert
from clickhouse.rows import AlertRow
from clickhouse.store import Store
from deploy.recovery.alerts import read_alerts
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType
from producers.notifications.registry import EVENT_TYPES, EventTypes
from tests.clickhouse.rows_for_tests import write
from tracemill.clock import now_us


class RecordOfBefore(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A record of the topic ``alerts`` when budgets were the only rules."""

    project_id: str
    id: str
    budget_id: str
    name: str
    scope: str
    period_start_us: int
    threshold: str
    spent_pico: int
    limit_pico: int
    trace_id: str = ""
    created_us: int
    row_version: int


class Temperature(msgspec.Struct, frozen=True):
    sensor: str
    history: list[float] = []


class TooHot(EventType[Temperature]):
    name = "toy.too_hot"
    payload = Temperature


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
INSTANTS_US = st.integers(1, 4_000_000_000_000_000)
RECORDS_OF_BEFORE = st.builds(
    RecordOfBefore,
    project_id=TEXTS,
    id=TEXTS,
    budget_id=IDS,
    name=TEXTS,
    scope=st.dictionaries(st.sampled_from(["user_id", "model"]), TEXTS).map(
        lambda scope: msgspec.json.encode(scope, order="sorted").decode()
    ),
    period_start_us=INSTANTS_US,
    threshold=st.sampled_from(["0.5", "0.80", "1", "1.0", "1.25", "100"]),
    spent_pico=st.integers(-(2**63) + 1, 2**63 - 1).filter(bool),
    limit_pico=st.integers(1, 2**63 - 1),
    trace_id=TEXTS,
    created_us=INSTANTS_US,
    row_version=st.just(1),
)


@given(RECORDS_OF_BEFORE)
def test_an_old_record_is_a_budget_alert_and_older_versions_can_read_new_ones(
    before: RecordOfBefore,
) -> None:
    alert = alert_of_record(msgspec.json.encode(before))
    event_type = EVENT_TYPES[alert.event]
    assert (alert.rule_kind, alert.rule_id, alert.labels) == (
        "budget",
        before.budget_id,
        json.loads(before.scope),
    )
    assert alert.value is not None
    assert alert.value * 10**12 == before.spent_pico
    written = msgspec.json.encode(row_of_alert(alert, event_type))
    assert alert_of_record(written) == alert
    assert msgspec.json.decode(written, type=RecordOfBefore) == before


ALERTS = st.builds(
    Alert,
    project_id=TEXTS,
    id=TEXTS,
    event=st.just("toy.too_hot"),
    rule_kind=st.sampled_from(["rule", "monitor"]),
    rule_id=TEXTS,
    name=TEXTS,
    labels=st.dictionaries(TEXTS, TEXTS, max_size=3),
    episode=TEXTS,
    state=st.sampled_from(["firing", "resolved", "no_data"]),
    severity=st.sampled_from(["info", "warning", "critical"]),
    value=st.none() | st.decimals(-(10**20), 10**20, places=12),
    limit=st.none() | st.decimals(-(10**20), 10**20, places=12),
    payload=st.builds(
        Temperature, TEXTS, st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2)
    ).map(lambda payload: msgspec.Raw(msgspec.json.encode(payload))),
    created_us=INSTANTS_US,
    version=st.integers(1, 2**60),
)


@given(ALERTS)
def test_an_alert_of_any_rule_is_read_back_from_its_record(alert: Alert) -> None:
    assert alert_of_record(msgspec.json.encode(row_of_alert(alert, TooHot()))) == alert


def toy_alert(created_us: int) -> Alert:
    return Alert(
        project_id="p",
        id="toy",
        event="toy.too_hot",
        rule_kind="toy",
        rule_id="r1",
        name="heat",
        labels={"room": "7", "é": '"'},
        episode="e1",
        state="resolved",
        severity="info",
        value=Decimal("40.000000000001"),
        limit=None,
        payload=msgspec.Raw(b'{"sensor":"s1","history":[1.5]}'),
        created_us=created_us,
        version=3,
    )


def with_members(alert: Alert) -> tuple[Alert, dict[str, object]]:
    """Return an alert without its payload, and the members of the payload that are not defaults."""
    members = msgspec.json.decode(alert.payload)
    kept = {name: value for name, value in members.items() if value not in ("", 0, {})}
    return msgspec.structs.replace(alert, payload=msgspec.Raw(b"{}")), kept


async def test_every_alert_is_read_back_from_the_table_old_rows_included(
    clickhouse_store: Store,
) -> None:
    """The topic's records of before reach the table as they are; a recovery reads all of them."""
    before = [
        AlertRow(
            project_id="p", id=f"a{number}", budget_id="b", name="n\"'\\", scope=scope,
            period_start_us=now_us() - 7, threshold=threshold, spent_pico=spent_pico,
            limit_pico=10**11,
            trace_id=trace_id, created_us=now_us() + number, row_version=1,
        )
        for number, (scope, threshold, spent_pico, trace_id) in enumerate([
            ('{"model":"m\\u00e9 \\"x\\"","user_id":"u1"}', "0.8", 80_000_000_001, "t1"),
            ("{}", "1", 2**63 - 1, ""),
            ("not JSON", "1.5", -5, 't"'),
        ])
    ]  # fmt: skip
    toy = toy_alert(now_us() + 100)
    await write(clickhouse_store, "alerts", *before, row_of_alert(toy, TooHot()))
    stored = [alert_of_row(row) for row in await read_alerts(clickhouse_store)]
    expected = [*map(alert_of_row, before), toy]
    assert list(map(with_members, stored)) == list(map(with_members, expected))
    (row,) = await clickhouse_store.query("SELECT budget_id, spent FROM alerts WHERE id = 'toy'")
    assert row == {"budget_id": "", "spent": 0}


def test_the_default_body_of_an_event_holds_the_generic_fields_and_its_payload() -> None:
    body = json.loads(TooHot().webhook_body(toy_alert(1_000_000)))
    assert body == {
        "type": "toy.too_hot",
        "timestamp": "1970-01-01T00:00:01.000Z",
        "data": {
            "rule_id": "r1", "rule_name": "heat", "episode_id": "e1", "state": "resolved",
            "severity": "info", "labels": {"room": "7", "é": '"'}, "value": "40.000000000001",
            "threshold": None, "sensor": "s1", "history": [1.5],
        },
    }  # fmt: skip


def test_two_events_of_one_name_are_refused() -> None:
    class Another(EventType[Temperature]):
        name = "toy.too_hot"
        payload = Temperature

    with pytest.raises(ValueError, match="toy"):
        EventTypes(TooHot(), Another())
