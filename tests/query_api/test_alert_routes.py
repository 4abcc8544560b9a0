import json
from typing import Any

import pytest

from clickhouse.rows import AlertRow, DeadLetterRow
from producers.control.kinds.webhook import Webhook
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, PROJECT, Api, make_api

ASKED = {"url": "https://93.184.216.34/hooks", "events": ["budget.threshold_crossed"]}


async def test_a_webhook_shows_its_secret_once(api: Api) -> None:
    answer = await api.client.post("/v1/webhooks", json=ASKED)
    assert answer.status_code == 201, answer.text
    webhook = answer.json()
    secret = webhook.pop("secret")
    assert secret.startswith("whsec_")
    assert api.control.view[Webhook][webhook["id"]].secret == secret
    path = f"/v1/webhooks/{webhook['id']}"
    assert webhook | {"id": "", "created_at": ""} == ASKED | {
        "id": "",
        "created_at": "",
        "description": "",
        "disabled": False,
        "previous_secret_valid_until": None,
    }
    assert (await api.client.get(path)).json() == webhook
    assert (await api.client.get("/v1/webhooks")).json() == {"data": [webhook]}
    assert (await api.client.delete(path)).status_code == 204
    assert (await api.client.get(path)).status_code == 404
    assert (await api.client.delete(path)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://127.0.0.1:9/x"}, "url"),
        ({"url": "http://[::1]/x"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://user:pass@93.184.216.34/"}, "url"),
        ({"url": "ftp://93.184.216.34/"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["everything"]}, "events.0"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_the_error_for_an_invalid_webhook_names_its_field(
    api: Api, fields: dict[str, object], field: str
) -> None:
    refused = await api.client.post("/v1/webhooks", json=ASKED | fields)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert not api.control.view[Webhook]


async def test_private_addresses_are_accepted_if_a_setting_allows_them(api: Api) -> None:
    private, clients = make_api(api.store, QuerySettings(webhooks_allow_private=True))
    answer = await private.client.post("/v1/webhooks", json=ASKED | {"url": "http://127.0.0.1:9/x"})
    assert answer.status_code == 201
    for client in clients:
        await client.aclose()


async def test_a_webhook_to_the_installations_own_ports_is_refused_whatever_is_allowed(
    api: Api,
) -> None:
    settings = QuerySettings(webhooks_allow_private=True, webhooks_forbidden_ports="7700,20001")
    private, clients = make_api(api.store, settings)
    for url in ("http://127.0.0.1:20001/?query=DROP TABLE x", "http://[::ffff:127.0.0.1]:7700/"):
        answer = await private.client.post(
            "/v1/webhooks", json=ASKED | {"url": url.replace(" ", "%20")}
        )
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "url")
        assert "belongs to this installation" in answer.text
    assert not private.control.view[Webhook]
    for client in clients:
        await client.aclose()


async def test_a_project_has_a_limited_number_of_webhooks_and_budgets(api: Api) -> None:
    settings = QuerySettings(webhooks_per_project_max=1, budgets_per_project_max=1)
    small, clients = make_api(api.store, settings)
    budget = {"name": "b", "period": "day", "limit_usd": "1"}
    for path, body in (("/v1/webhooks", ASKED), ("/v1/budgets", budget)):
        assert (await small.client.post(path, json=body)).status_code == 201
        refused = await small.client.post(path, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
        assert (await small.other.post(path, json=body)).status_code == 201
    for client in clients:
        await client.aclose()


async def pages(api: Api, path: str, **params: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        given = params | ({"cursor": cursor} if cursor else {})
        answer = await api.client.get(path, params=given)
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        meta = answer.json()["meta"]
        cursor = meta["cursor"]
        assert meta["has_more"] == (cursor is not None)
        if cursor is None:
            return found


async def test_alerts_are_listed_page_by_page(api: Api) -> None:
    await api.insert(
        *(
            AlertRow(
                project_id=PROJECT, id=f"a{number}", budget_id=f"b{number % 2}", name="day",
                scope='{"user_id":"u1"}', period_start_us=NOON_US, threshold="0.8",
                spent_pico=85 * 10**9,
                limit_pico=10**11, trace_id="t1", created_us=NOON_US + number // 3, row_version=1,
            )
            for number in range(8)
        )
    )  # fmt: skip
    found = await pages(api, "/v1/alerts", limit=3)
    assert [each["id"] for each in found] == [f"a{number}" for number in range(7, -1, -1)]
    assert found[-1] == {
        "id": "a0", "type": "budget.threshold_crossed", "budget_id": "b0", "name": "day",
        "episode_id": f"b0/{NOON_US}", "state": "firing", "severity": "warning",
        "scope": {"user_id": "u1"}, "period_start": "2026-11-21T12:00:00.000Z",
        "period_end": None, "threshold": 0.8,
        "spent_usd": "0.085", "limit_usd": "0.1", "incomplete": False,
        "trace_id": "t1",
        "created_at": "2026-11-21T12:00:00.000Z",
    }  # fmt: skip
    of_one = await pages(api, "/v1/alerts", budget_id="b1", limit=2)
    assert [each["id"] for each in of_one] == ["a7", "a5", "a3", "a1"]


async def test_dead_letters_are_listed_page_by_page(api: Api) -> None:
    await api.insert(
        *(
            DeadLetterRow(
                project_id=PROJECT, id=f"d{number}", created_us=NOON_US + number // 2,
                stage="gateway" if number % 2 else "observations", reason="bad", detail="why",
                source_topic="tracemill.events", source_partition=1, source_offset=number,
                payload="{\x00",
            )
            for number in range(5)
        ),
        DeadLetterRow(project_id=PROJECT, id="edge", created_us=NOON_US - 1, stage="gateway",
            reason="worse"),
    )  # fmt: skip
    found = await pages(api, "/v1/dead-letters", limit=2)
    assert [each["id"] for each in found] == ["d4", "d3", "d2", "d1", "d0", "edge"]
    assert found[0] == {
        "id": "d4", "stage": "observations", "reason": "bad", "detail": "why",
        "source_topic": "tracemill.events",
        "payload": "{\x00", "created_at": "2026-11-21T12:00:00.000002Z", "not_replayable": None,
    }  # fmt: skip
    assert found[-1]["source_topic"] is None
    assert "the client must resend" in found[-1]["not_replayable"]
    assert [each["id"] for each in await pages(api, "/v1/dead-letters", stage="gateway")] == [
        "d3",
        "d1",
        "edge",
    ]
    assert [each["id"] for each in await pages(api, "/v1/dead-letters", reason="worse")] == ["edge"]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ('["acme",3,901,[],[]]', '["acme",null,null,[],[]]'),
        ('["a\\"],1,2",3,901,[],[[1,2]],5]', '["a\\"],1,2",null,null,[],[[1,2]],5]'),
        ('{"project_id":"acme","row_version":901,"x":1}',
            '{"project_id":"acme","row_version":null,"x":1}'),
        ('{"input":"\\"row_version\\":901"}', '{"input":"\\"row_version\\":901"}'),
        ('{"batch":[1,2]}', '{"batch":[1,2]}'),
    ],
)  # fmt: skip
async def test_a_payload_shows_no_position_in_a_topic(api: Api, payload: str, shown: str) -> None:
    await api.insert(
        DeadLetterRow(
            project_id=PROJECT, id="d", created_us=NOON_US, stage="projects", reason="bad",
            source_topic="tracemill.deltas", source_partition=1, source_offset=901, payload=payload,
        )
    )  # fmt: skip
    (found,) = (await api.client.get("/v1/dead-letters")).json()["data"]
    assert found["payload"] == shown
    assert found["source_topic"] == "tracemill.deltas"
    assert "901" not in json.dumps({**found, "payload": ""})


@pytest.mark.parametrize("path", ["/v1/alerts", "/v1/dead-letters"])
@pytest.mark.parametrize(
    "cursor", ["nonsense", "e30=", "eyJhdF91cyI6OTIyMzM3MjAzNjg1NDc3NTgwNywiaWQiOiIifQ==", "\u20ac"]
)
async def test_an_invalid_cursor_is_refused(api: Api, path: str, cursor: str) -> None:
    refused = await api.client.get(path, params={"cursor": cursor})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "cursor")


async def test_storage_lists_rows_by_table_and_volume(api: Api) -> None:
    await api.insert(
        DeadLetterRow(project_id=PROJECT, id="d", created_us=NOON_US, stage="gateway", reason="bad")
    )
    answer = (await api.admin.get("/v1/storage")).json()
    (use,) = [each for each in answer["data"] if each["table"] == "dead_letters"]
    assert (use["volume"], use["rows"]) == ("hot", 1)
    assert answer["volumes"]["hot"]["rows"] >= 1
