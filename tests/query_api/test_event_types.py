"""A type of notification event that is defined here: subscribed to and listed like any other."""

from __future__ import annotations

import json

import msgspec

from clickhouse.alert_rows import row_of_alert
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType
from producers.notifications.registry import EVENT_TYPES
from tests.query_api.harness import NOON_US, PROJECT, Api, make_api


class Spilled(msgspec.Struct, frozen=True):
    litres: float


class ToySpilled(EventType[Spilled]):
    name = "toy.spilled"
    payload = Spilled


ALERT = Alert(
    project_id=PROJECT,
    id="a1",
    event="toy.spilled",
    rule_kind="toy",
    rule_id="r1",
    name="milk",
    episode="e1",
    payload=msgspec.Raw(b'{"litres":0.5}'),
    created_us=NOON_US,
)
SHOWN = {
    "id": "a1", "type": "toy.spilled", "rule_kind": "toy", "rule_id": "r1", "name": "milk",
    "labels": {}, "episode_id": "e1", "state": "firing", "severity": "warning", "value": None,
    "threshold": None, "details": {"litres": 0.5}, "created_at": "2026-11-21T12:00:00.000Z",
}  # fmt: skip


async def test_a_new_event_is_subscribed_to_listed_and_documented(api: Api) -> None:
    toys, clients = make_api(api.store, event_types=EVENT_TYPES.including(ToySpilled()))
    body = {"url": "https://93.184.216.34/hooks", "events": ["toy.spilled"]}
    answer = await toys.client.post("/v1/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    await api.insert(row_of_alert(ALERT, ToySpilled()))
    assert (await toys.client.get("/v1/alerts")).json()["data"] == [SHOWN]
    assert (await toys.client.get("/v1/alerts", params={"budget_id": "r1"})).json()["data"] == []
    document = (await toys.client.get("/openapi.json")).json()
    page = document["components"]["schemas"]["AlertList"]["properties"]["data"]["items"]
    shapes = [each["$ref"].rpartition("/")[2] for each in page["anyOf"]]
    assert {"ThresholdAlertOut", "CorrectionAlertOut", "AlertShape"} <= set(shapes)
    assert len(set(shapes)) == len(shapes)
    for client in clients:
        await client.aclose()


async def test_an_alert_of_an_event_that_this_version_does_not_know_is_listed(api: Api) -> None:
    await api.insert(row_of_alert(ALERT, ToySpilled()))
    assert (await api.client.get("/v1/alerts")).json()["data"] == [SHOWN]


async def test_an_event_that_is_not_registered_is_refused_with_those_that_are(api: Api) -> None:
    body = {
        "url": "https://93.184.216.34/hooks",
        "events": ["budget.threshold_crossed"] * 2 + ["toy.spilled"],
    }
    refused = await api.client.post("/v1/webhooks", json=body)
    assert refused.status_code == 422
    error = json.loads(refused.content)["error"]
    assert (error["field"], error["allowed"]) == ("events.2", list(EVENT_TYPES))
    twice = body | {"events": ["budget.threshold_crossed"] * 2}
    answer = await api.client.post("/v1/webhooks", json=twice)
    assert answer.json()["events"] == ["budget.threshold_crossed"]
