"""``PUT`` replaces the whole definition of a record, and keeps what a body cannot state."""

from __future__ import annotations

from typing import Any

import pytest

from producers.control.kinds.route import Route
from producers.control.kinds.webhook import Webhook
from query_api.app import RESOURCES
from tests.query_api.harness import Api

HOST = "https://93.184.216.34"
CHANNEL: dict[str, Any] = {"type": "slack", "name": "ops", "url": f"{HOST}/first"}
SILENCE: dict[str, Any] = {
    "matchers": [{"name": "severity", "op": "=", "value": "info"}], "author": "ada",
    "reason": "maintenance", "duration": "1h",
}  # fmt: skip
WEBHOOK: dict[str, Any] = {"url": f"{HOST}/hook", "events": ["alert.firing"], "description": "d"}


async def created(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def replaced(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.client.put(path, json=body)
    assert answer.status_code == 200, answer.text
    found, after = (await api.client.get(path)).json(), answer.json()
    assert found == {name: value for name, value in after.items() if name in found}
    assert {*after} - {*found} <= {"warnings"}
    return after


def test_what_can_be_changed_can_be_replaced() -> None:
    assert [each.path for each in RESOURCES if each.change is not None and not each.replace] == []


async def test_a_route_gets_defaults_and_remembers_its_earlier_conditions(api: Api) -> None:
    channel = await created(api, "/v1/channels", CHANNEL)
    body = {"name": "critical", "channel_ids": [channel["id"]]}
    route = await created(
        api, "/v1/routes", body | {"severities": ["critical"], "group_wait": "1m"}
    )
    path = f"/v1/routes/{route['id']}"
    await api.client.patch(path, json={"disabled": True})
    after = await replaced(api, path, body | {"name": "all"})
    assert after == route | {
        "name": "all", "severities": [], "group_wait_s": 10.0, "disabled": True,
    }  # fmt: skip
    kept = api.control.view[Route][route["id"]]
    assert [each.severities for each in kept.earlier] == [("critical",), ("critical",)]
    unknown = await api.client.put(path, json=body | {"channel_ids": ["ch_none"]})
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (422, "channel_ids.0")


async def test_a_webhook_keeps_its_secret_and_is_checked(api: Api) -> None:
    webhook = await created(api, "/v1/webhooks", WEBHOOK)
    path = f"/v1/webhooks/{webhook['id']}"
    secret = api.control.view[Webhook][webhook["id"]].secret
    after = await replaced(api, path, {"url": f"{HOST}/other", "events": ["alert.resolved"]})
    assert (after["url"], after["events"]) == (f"{HOST}/other", ["alert.resolved"])
    assert after["description"] == ""
    assert "secret" not in after
    assert api.control.view[Webhook][webhook["id"]].secret == secret
    for body, field in (
        (WEBHOOK | {"url": "http://127.0.0.1:1/"}, "url"),
        (WEBHOOK | {"events": ["alert.none"]}, "events.0"),
        ({"url": WEBHOOK["url"]}, "events"),
    ):
        refused = await api.client.put(path, json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


async def test_a_channel_gets_other_settings_but_not_another_type_or_events(api: Api) -> None:
    channel = await created(api, "/v1/channels", CHANNEL | {"rate_per_minute": 1})
    path = f"/v1/channels/{channel['id']}"
    after = await replaced(api, path, CHANNEL | {"name": "team"})
    assert after == channel | {"name": "team", "rate_per_minute": 60}
    for body, field in (
        (CHANNEL | {"type": "teams"}, "type"),
        (CHANNEL | {"events": ["alert.firing"]}, "events"),
        (CHANNEL | {"url": "http://127.0.0.1:1/"}, "url"),
        (CHANNEL | {"text_template": "{{ nothing }}"}, "text_template"),
        (CHANNEL | {"color": "red"}, "color"),
    ):
        refused = await api.client.put(path, json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


async def test_a_silence_begins_as_before_and_must_end_later(api: Api) -> None:
    silence = await created(api, "/v1/silences", SILENCE)
    path = f"/v1/silences/{silence['id']}"
    after = await replaced(api, path, SILENCE | {"duration": "2h", "reason": "upgrade"})
    assert (after["starts_at"], after["reason"]) == (silence["starts_at"], "upgrade")
    assert after["ends_at"] > silence["ends_at"]
    ended = SILENCE | {"ends_at": silence["starts_at"]}
    del ended["duration"]
    refused = await api.client.put(path, json=ended)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "ends_at")


@pytest.mark.parametrize("path", ["/v1/routes", "/v1/silences", "/v1/webhooks", "/v1/channels"])
async def test_a_record_that_does_not_exist_is_not_created(api: Api, path: str) -> None:
    bodies = {
        "/v1/routes": {"name": "r", "channel_ids": ["c"]}, "/v1/silences": SILENCE,
        "/v1/webhooks": WEBHOOK, "/v1/channels": CHANNEL,
    }  # fmt: skip
    refused = await api.client.put(f"{path}/none", json=bodies[path])
    assert refused.status_code == 404, refused.text
