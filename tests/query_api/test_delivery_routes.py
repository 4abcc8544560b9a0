"""The log of deliveries is listed; deliveries can be repeated and webhooks tested."""

from __future__ import annotations

from typing import Any

import pytest

from clickhouse.delivery_rows import DeliveryAttemptRow
from producers.control.kinds.delivery_request import REQUEST_MEMORY_H, DeliveryRequest
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api
from tracemill.clock import now_us

BODY = {"url": "https://93.184.216.34/hooks", "events": ["budget.threshold_crossed"]}


def attempt(delivery_id: str, number: int = 1, **fields: Any) -> DeliveryAttemptRow:
    given = {
        "project_id": PROJECT, "alert_ids": (delivery_id.partition("~")[0],),
        "target_kind": "webhook", "target_id": "w1", "event": "budget.threshold_crossed",
        "status": "delivered", "status_code": 200, "latency_ms": 4.5, "answer": "ok",
        "detail": "status 200", "created_us": NOON_US, "attempted_us": NOON_US + number,
        "row_version": number,
    }  # fmt: skip
    return DeliveryAttemptRow(delivery_id=delivery_id, attempt=number, **given | fields)


async def ids(api: Api, **params: object) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await api.client.get("/v1/deliveries", params={**params, **cursor})
        assert answer.status_code == 200, answer.text
        found += [each["id"] for each in answer.json()["data"]]
        if not answer.json()["meta"]["has_more"]:
            return found
        cursor = {"cursor": answer.json()["meta"]["cursor"]}


async def webhook(api: Api) -> str:
    created = await api.client.post("/v1/webhooks", json=BODY)
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


def requests(api: Api) -> list[DeliveryRequest]:
    return list(api.control.view[DeliveryRequest].values())


async def test_deliveries_are_listed_with_their_last_attempt(api: Api) -> None:
    await api.insert(
        *(attempt(f"a{number}~w1", created_us=NOON_US + number // 2) for number in range(5)),
        attempt("b~w2", 1, target_id="w2", status="pending", status_code=0, next_attempt_us=9),
        attempt("b~w2", 2, target_id="w2", status="exhausted", status_code=503, answer="no"),
        attempt("c~ch1", target_id="ch1", target_kind="channel", alert_ids=("a1", "a2")),
        attempt("d~w1", project_id=OTHER),
    )
    of_w1 = [f"a{number}~w1" for number in range(4, -1, -1)]
    assert await ids(api, webhook_id="w1", limit=2) == of_w1
    assert set(await ids(api)) == {*of_w1, "b~w2", "c~ch1"}
    assert await ids(api, alert_id="a1") == ["c~ch1", "a1~w1"]
    assert await ids(api, status="pending") == []
    assert await ids(api, status="exhausted") == ["b~w2"]
    found = (await api.client.get("/v1/deliveries/b~w2")).json()
    assert [each["status_code"] for each in found["log"]] == [None, 503]
    assert (found["attempts"], found["last_attempt"]["answer"]) == (2, "no")
    assert found["webhook_id"] == "w2"
    channel = (await api.client.get("/v1/deliveries/c~ch1")).json()
    assert (channel["webhook_id"], channel["channel_id"]) == (None, "ch1")
    assert (await api.client.get("/v1/deliveries/d~w1")).status_code == 404


async def test_a_repeated_delivery_is_requested_once_per_key(api: Api) -> None:
    webhook_id = await webhook(api)
    delivery = f"a1~{webhook_id}"
    await api.insert(attempt(delivery, target_id=webhook_id, created_us=now_us()))
    path = f"/v1/deliveries/{delivery}/redeliver"
    key = {"idempotency-key": "k1"}
    answers = [await api.client.post(path, headers=key) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {202}
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["delivery_id"].startswith(f"{delivery}~drq_")
    [request] = requests(api)
    assert (request.alert_id, request.target_id) == ("a1", webhook_id)
    await api.client.post(path)
    assert len(requests(api)) == 2


async def test_everything_since_a_time_is_requested_and_a_test_too(api: Api) -> None:
    webhook_id = await webhook(api)
    since = (await api.client.get(f"/v1/webhooks/{webhook_id}")).json()["created_at"]
    answer = await api.client.post(f"/v1/webhooks/{webhook_id}/redeliver", json={"since": since})
    assert answer.status_code == 202, answer.text
    [request] = requests(api)
    assert request.covers("any", request.since_us)
    assert not request.covers("any", request.since_us - 1)
    assert not request.covers("any", request.created_us + 1)
    tested = await api.client.post(f"/v1/webhooks/{webhook_id}/test")
    assert tested.status_code == 202
    assert tested.json()["delivery_id"] == f"{tested.json()['request_id']}~{webhook_id}"


@pytest.mark.parametrize("since", ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "soon", None])
async def test_a_time_that_is_too_old_or_none_is_refused(api: Api, since: object) -> None:
    webhook_id = await webhook(api)
    refused = await api.client.post(f"/v1/webhooks/{webhook_id}/redeliver", json={"since": since})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "since")


async def test_nothing_is_requested_for_a_disabled_webhook_or_an_old_alert(api: Api) -> None:
    webhook_id = await webhook(api)
    await api.insert(
        attempt(
            f"old~{webhook_id}", target_id=webhook_id, created_us=now_us() - 8 * 86_400 * 10**6
        ),
        attempt(f"new~{webhook_id}", target_id=webhook_id, created_us=now_us()),
        attempt("new~deleted", target_id="deleted", created_us=now_us()),
    )
    old = await api.client.post(f"/v1/deliveries/old~{webhook_id}/redeliver")
    gone = await api.client.post("/v1/deliveries/new~deleted/redeliver")
    await api.client.patch(f"/v1/webhooks/{webhook_id}", json={"disabled": True})
    disabled = await api.client.post(f"/v1/deliveries/new~{webhook_id}/redeliver")
    test = await api.client.post(f"/v1/webhooks/{webhook_id}/test")
    assert [each.status_code for each in (old, gone, disabled, test)] == [409] * 4
    assert requests(api) == []


async def test_requests_are_limited_and_old_ones_are_removed(api: Api) -> None:
    small, clients = make_api(api.store, QuerySettings(delivery_requests_per_project_max=1))
    webhook_id = await webhook(small)
    path = f"/v1/webhooks/{webhook_id}/test"
    assert (await small.client.post(path)).status_code == 202
    assert (await small.client.post(path)).status_code == 409
    [first] = requests(small)
    ended_us = now_us() - (REQUEST_MEMORY_H + 1) * 3_600_000_000
    small.control.keep(first.model_copy(update={"created_us": ended_us}))
    assert (await small.client.post(path)).status_code == 202
    assert first.id not in [each.id for each in requests(small)]
    for client in clients:
        await client.aclose()
