"""Channels and routes are checked when they are created; secrets are not shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from producers.control.kinds.channel import Channel
from producers.control.kinds.delivery_request import DeliveryRequest
from producers.control.kinds.route import Route
from producers.notifications.channel_registry import CHANNEL_TYPES
from query_api.settings import QuerySettings
from tests.query_api.harness import Api, make_api

HOST = "https://93.184.216.34"
SECRET = "s3cr3tvalue000000000"
OF_TYPES: dict[str, dict[str, Any]] = {
    "webhook": {"url": f"{HOST}/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "slack": {"url": f"{HOST}/{SECRET}"},
    "teams": {"url": f"{HOST}/{SECRET}"},
    "discord": {"url": f"{HOST}/{SECRET}"},
    "pagerduty": {"routing_key": SECRET, "url": f"{HOST}/v2/enqueue"},
    "opsgenie": {"api_key": SECRET, "url": f"{HOST}/v2/alerts"},
    "feishu": {"url": f"{HOST}/{SECRET}", "secret": SECRET},
    "dingtalk": {"url": f"{HOST}/{SECRET}", "secret": SECRET},
    "wecom": {"url": f"{HOST}/{SECRET}"},
    "telegram": {"bot_token": f"12345:{SECRET}", "chat_id": "-100123", "url": HOST},
    "alertmanager": {"url": HOST, "bearer_token": SECRET},
    "email": {
        "host": "93.184.216.34", "sender": "a@example.com", "recipients": ["b@example.com"],
        "username": "a", "password": SECRET,
    },
}  # fmt: skip
SLACK = {"type": "slack", "name": "ops", **OF_TYPES["slack"]}


async def created(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.client.post("/v1/channels", json=SLACK | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_every_type_is_tested() -> None:
    assert set(OF_TYPES) == set(CHANNEL_TYPES)


@pytest.mark.parametrize("name", OF_TYPES)
async def test_a_channel_of_each_type_is_created_previewed_and_shows_no_secret(
    api: Api, name: str
) -> None:
    fields = OF_TYPES[name]
    answer = await api.client.post("/v1/channels", json={"type": name, "name": "ops", **fields})
    assert answer.status_code == 201, answer.text
    path = f"/v1/channels/{answer.json()['id']}"
    answers = [answer, await api.client.get(path), await api.client.get("/v1/channels")]
    for state in ("firing", "resolved"):
        preview = await api.client.post(f"{path}/preview", json={"state": state})
        assert preview.status_code == 200, preview.text
        assert "p95 latency of answers" in preview.json()["title"]
        answers.append(preview)
    for each in answers:
        assert SECRET not in each.text
        assert "whsec_" not in each.text
    [kept] = api.control.view[Channel].values()
    assert kept.settings == fields
    assert SECRET not in repr(kept)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "carrier-pigeon"}, "type"),
        ({"type": "file"}, "type"),
        ({"name": ""}, "name"),
        ({"url": "http://127.0.0.1:9/x"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "smtp://8.8.8.8:25"}, "url"),
        ({"url": "http://℀.com/"}, "url"),
        ({"url": "http://127.0.0.1:99999/"}, "url"),
        ({"webhook": "x"}, "webhook"),
        ({"type": "pagerduty"}, "routing_key"),
        ({"type": "email"}, "host"),
        ({"events": ["everything"]}, "events.0"),
        ({"rate_per_minute": 0}, "rate_per_minute"),
        ({"title_template": "{{ nothing }}"}, "title_template"),
        ({"text_template": "{% for a in alerts %}"}, "text_template"),
        ({"text_template": "{{ alerts.__class__ }}"}, "text_template"),
        ({"text_template": "{{ cycler.__init__.__globals__ }}"}, "text_template"),
        ({"text_template": "{{ 'a' * 1000000000 }}"}, "text_template"),
        ({"text_template": "{% for x in range(9) %}{% endfor %}"}, "text_template"),
        ({"text_template": "x" * 4_001}, "text_template"),
    ],
)
async def test_the_error_for_an_invalid_channel_names_its_field(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    body = {"type": "slack", "name": "ops", "url": f"{HOST}/x"} | fields
    if fields.get("type") in {"pagerduty", "email"}:
        del body["url"]
    refused = await api.client.post("/v1/channels", json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field), refused.text
    assert not api.control.view[Channel]


async def test_types_have_the_names_of_the_services(api: Api) -> None:
    lark = await created(api, type="lark", url=f"{HOST}/bot")
    assert lark["type"] == "feishu"
    body = {"type": "lark", "name": "moved", "url": f"{HOST}/bot"}
    replaced = await api.client.put(f"/v1/channels/{lark['id']}", json=body)
    assert (replaced.json()["name"], replaced.json()["type"]) == ("moved", "feishu")


async def test_the_fields_of_a_type_can_be_in_settings_as_in_responses(api: Api) -> None:
    body = {"type": "opsgenie", "name": "n", "settings": OF_TYPES["opsgenie"]}
    answer = await api.client.post("/v1/channels", json=body)
    assert answer.status_code == 201, answer.text
    path = f"/v1/channels/{answer.json()['id']}"
    changed = await api.client.patch(path, json={"settings": {"url": f"{HOST}/eu"}})
    assert changed.json()["settings"] == {"api_key": "…", "url": f"{HOST}/eu"}
    assert (await api.client.put(path, json=body)).json() == answer.json()
    for wrong in ({"settings": {"nope": 1}}, {"settings": "x"}):
        assert (await api.client.patch(path, json=wrong)).status_code == 422


async def test_templates_use_the_members_of_events_and_a_refusal_names_them(api: Api) -> None:
    template = "{% for a in alerts %}{{ a.rule_name }} {{ a.group.model }} {{ a.unit }}{% endfor %}"
    channel = await created(api, text_template=template)
    path = f"/v1/channels/{channel['id']}/preview"
    text = (await api.client.post(path)).json()["text"]
    assert text == "p95 latency of answers gpt-4o s"
    refused = await api.client.post(path, json={"text_template": "{{ alerts[0].nothing }}"})
    message = refused.json()["error"]["message"]
    assert all(word in message for word in ("nothing", "alerts", "exemplars"))


async def test_the_address_of_an_smtp_server_is_checked_too(api: Api) -> None:
    for host in ("127.0.0.1", "localhost", "169.254.169.254", "::1", "2130706433", "x:9"):
        body = {"type": "email", "name": "m", **OF_TYPES["email"], "host": host}
        refused = await api.client.post("/v1/channels", json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "host")


async def test_a_change_keeps_the_other_settings_and_is_checked(api: Api) -> None:
    channel = await created(api)
    path = f"/v1/channels/{channel['id']}"
    changed = await api.client.patch(path, json={"name": "on-call", "send_resolved": False})
    assert changed.json() == channel | {"name": "on-call", "send_resolved": False}
    moved = await api.client.patch(path, json={"url": f"{HOST}/other"})
    assert moved.status_code == 200, moved.text
    assert api.control.view[Channel][channel["id"]].settings == {"url": f"{HOST}/other"}
    for change, field in (
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"type": "teams"}, "type"),
        ({"token": "x"}, "token"),
        ({"text_template": "{{ x }}"}, "text_template"),
        ({"disabled": 1}, "disabled"),
    ):
        refused = await api.client.patch(path, json=change)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


async def test_a_preview_renders_the_given_templates(api: Api) -> None:
    channel = await created(api, title_template="{{ alerts[0].labels.model }}")
    path = f"/v1/channels/{channel['id']}/preview"
    own = (await api.client.post(path)).json()
    assert own["title"] == "gpt-4o"
    assert own["url"] == "…"
    given = (await api.client.post(path, json={"text_template": "<!here> {{ status }}"})).json()
    assert given["text"] == "<!here> firing"
    assert "&lt;!here&gt;" in json.dumps(given["body"])
    refused = await api.client.post(path, json={"title_template": "{{ x"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "title_template")
    assert (await api.client.post(path, json={"state": "odd"})).status_code == 422


async def test_a_test_is_requested_unless_the_channel_is_disabled(api: Api) -> None:
    channel = await created(api)
    path = f"/v1/channels/{channel['id']}"
    tested = await api.client.post(f"{path}/test")
    assert tested.status_code == 202
    [request] = api.control.view[DeliveryRequest].values()
    assert (request.target_kind, request.target_id) == ("channel", channel["id"])
    await api.client.patch(path, json={"disabled": True})
    assert (await api.client.post(f"{path}/test")).status_code == 409


async def test_a_route_names_existing_channels_of_the_project(api: Api) -> None:
    channel = await created(api)
    body = {"name": "critical", "severities": ["critical"], "channel_ids": [channel["id"]]}
    answer = await api.client.post("/v1/routes", json=body)
    assert answer.status_code == 201, answer.text
    route = answer.json()
    path = f"/v1/routes/{route['id']}"
    assert (route["group_by"], route["group_wait_s"]) == (["rule_id"], 10.0)
    changed = await api.client.patch(path, json={"group_wait_s": 0.5, "disabled": True})
    assert changed.json() == route | {"group_wait_s": 0.5, "disabled": True}
    conditions = {
        "severities": ["critical", "warning"], "labels": {"model": ["m"]}, "group_by": [],
        "events": ["alert.firing"], "rule_ids": ["rule_1"],
    }  # fmt: skip
    moved = await api.client.patch(path, json=conditions)
    assert moved.json() == changed.json() | conditions
    assert [each.severities for each in api.control.view[Route][route["id"]].earlier] == [
        ("critical",), ("critical",),
    ]  # fmt: skip
    as_in_alertmanager = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
    other = (await api.client.post("/v1/routes", json=body | as_in_alertmanager)).json()
    assert (other["group_wait_s"], other["group_interval_s"]) == (30.0, 300.0)
    assert (other["repeat_interval_s"], other["warnings"]) == (14_400.0, [])
    often = {"group_wait": "10m", "group_interval": "5m", "repeat_interval": "1m"}
    warned = (await api.client.patch(f"/v1/routes/{other['id']}", json=often)).json()["warnings"]
    assert [each.partition(":")[0] for each in warned] == ["group_interval_s", "group_wait_s"]
    assert (await api.client.delete(f"/v1/routes/{other['id']}")).status_code == 204
    for change, field in (
        ({"severities": ["fatal"]}, "severities.0"),
        ({"channel_ids": []}, "channel_ids"),
        ({"channel_ids": ["ch_none"]}, "channel_ids.0"),
        ({"events": ["everything"]}, "events.0"),
        ({"labels": {"model": []}}, "labels.model"),
        ({"labels": {"model": "gpt-4o"}}, "labels.model"),
        ({"group_wait_s": -1}, "group_wait_s"),
        ({"group_wait": "soon"}, "group_wait"),
        ({"repeat_interval_s": 1e12}, "repeat_interval_s"),
        ({"matchers": []}, "matchers"),
    ):
        refused = await api.client.post("/v1/routes", json=body | change)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
        unchanged = await api.client.patch(path, json=change)
        assert (unchanged.status_code, unchanged.json()["error"]["field"]) == (422, field)
    theirs = await api.other.post("/v1/routes", json=body)
    assert (theirs.status_code, theirs.json()["error"]["field"]) == (422, "channel_ids.0")
    assert (await api.client.delete(path)).status_code == 204
    assert not api.control.view[Route]


async def test_private_addresses_are_accepted_if_a_setting_allows_them(api: Api) -> None:
    private, clients = make_api(api.store, QuerySettings(webhooks_allow_private=True))
    await created(private, url="http://127.0.0.1:9/x")
    mail = {"type": "email", "name": "m", **OF_TYPES["email"], "host": "localhost"}
    assert (await private.client.post("/v1/channels", json=mail)).status_code == 201
    for client in clients:
        await client.aclose()
