"""A webhook can be changed, and its secret rotated."""

from __future__ import annotations

from typing import Any

import pytest

from producers.control.kinds.webhook import Webhook
from tests.query_api.harness import PROJECT, Api

BODY = {"url": "https://93.184.216.34/hooks", "events": ["budget.threshold_crossed"]}


async def created(api: Api) -> dict[str, Any]:
    answer = await api.client.post("/v1/webhooks", json=BODY)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_change_keeps_what_the_body_does_not_name(api: Api) -> None:
    webhook = await created(api)
    secret = webhook.pop("secret")
    path = f"/v1/webhooks/{webhook['id']}"
    for change in (
        {"description": "on-call"},
        {"url": "https://93.184.216.34/other"},
        {"disabled": True},
        {"disabled": False},
    ):
        webhook |= change
        answer = await api.client.patch(path, json=change)
        assert (answer.status_code, answer.json()) == (200, webhook)
    assert (await api.client.get(path)).json() == webhook
    assert api.control.view[Webhook][webhook["id"]].secret == secret


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://127.0.0.1:9/x"}, "url"),
        ({"url": "https://localhost./x"}, "url"),
        ({"url": ""}, "url"),
        ({"events": []}, "events"),
        ({"events": ["everything"]}, "events.0"),
        ({"disabled": "yes"}, "disabled"),
        ({"description": "x" * 501}, "description"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_an_invalid_change_names_its_field_and_has_no_effect(
    api: Api, change: dict[str, object], field: str
) -> None:
    webhook = await created(api)
    path = f"/v1/webhooks/{webhook['id']}"
    before = (await api.client.get(path)).json()
    refused = await api.client.patch(path, json=change)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert (await api.client.get(path)).json() == before


async def test_a_rotated_secret_is_shown_once_and_the_old_one_remains_valid_for_a_time(
    api: Api,
) -> None:
    webhook = await created(api)
    path = f"/v1/webhooks/{webhook['id']}"
    rotated = (await api.client.post(f"{path}/rotate-secret", json={"overlap_s": 3600})).json()
    assert rotated["secret"] != webhook["secret"]
    assert rotated["previous_secret_valid_until"] > rotated["created_at"]
    kept = api.control.view[Webhook][webhook["id"]]
    until_us = kept.overlap_until_us
    assert kept.signing_secrets(until_us - 1) == (rotated["secret"], webhook["secret"])
    assert kept.signing_secrets(until_us) == (rotated["secret"],)
    assert "secret" not in (await api.client.get(path)).json()
    at_once = (await api.client.post(f"{path}/rotate-secret", json={"overlap_s": 0})).json()
    kept = api.control.view[Webhook][webhook["id"]]
    assert kept.signing_secrets(kept.overlap_until_us) == (at_once["secret"],)
    by_default = await api.client.post(f"{path}/rotate-secret")
    assert by_default.status_code == 200, by_default.text


@pytest.mark.parametrize("overlap_s", [-1, 7 * 86_400 + 1, "1h", 1.5, True])
async def test_an_impossible_overlap_is_refused(api: Api, overlap_s: object) -> None:
    webhook = await created(api)
    refused = await api.client.post(
        f"/v1/webhooks/{webhook['id']}/rotate-secret", json={"overlap_s": overlap_s}
    )
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "overlap_s")


async def test_a_change_applies_only_to_the_version_that_if_match_names(api: Api) -> None:
    webhook = await created(api)
    path = f"/v1/webhooks/{webhook['id']}"
    tag = (await api.client.get(path)).headers["etag"]
    first = await api.client.patch(path, json={"description": "1"}, headers={"if-match": tag})
    second = await api.client.patch(path, json={"description": "2"}, headers={"if-match": tag})
    assert (first.status_code, second.status_code) == (200, 409)


def test_events_that_are_subscribed_later_begin_then() -> None:
    webhook = Webhook(
        id="w", project_id=PROJECT, url="https://93.184.216.34/", events=("a",),
        secret="whsec_" + "x" * 32, created_us=10,
    )  # fmt: skip
    later = webhook.with_events(("a", "b"), 20)
    assert later.events == ("a", "b")
    assert later.takes("a", 10)
    assert not later.takes("b", 19)
    assert later.takes("b", 20)
    again = later.with_events(("b",), 30).with_events(("a", "b"), 40)
    assert not again.takes("a", 39)
    assert again.takes("b", 20)
