"""Channels, routes, webhooks and deliveries in the console."""

from __future__ import annotations

import re

import httpx
import pytest

from producers.control.kinds.channel import Channel
from producers.control.kinds.delivery_request import DeliveryRequest
from producers.control.kinds.route import Route
from producers.control.kinds.webhook import Webhook
from tests.query_api.console.browser import HOME, csrf_in, text_of
from tests.query_api.console.form_fields import faults_of, fields_of
from tests.query_api.harness import OTHER, PROJECT, Api, Kept
from tests.query_api.test_channel_routes import OF_TYPES, SECRET
from tests.query_api.test_delivery_routes import BODY, attempt
from tracemill.clock import now_us

CHANNELS, ROUTES, WEBHOOKS = f"{HOME}/channels", f"{HOME}/routes", f"{HOME}/webhooks"
DELIVERIES = f"{HOME}/deliveries"
MARKUP = "<script>alert(1)</script>"
NOW_US = now_us()

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    """A store with deliveries to a webhook and to a channel."""
    return kept(
        [
            *(attempt(f"a{n}~w1", created_us=NOW_US - n) for n in range(60)),
            attempt("b~w1", 1, status="pending", status_code=0, created_us=NOW_US + 1),
            attempt("b~w1", 2, status="exhausted", status_code=503, answer=MARKUP,
                    created_us=NOW_US + 1),
            attempt("c~ch1", target_id="ch1", target_kind="channel", created_us=NOW_US),
            attempt("theirs~w1", project_id=OTHER),
        ]
    )  # fmt: skip


def requests(api: Api, target_id: str) -> list[str]:
    found = api.control.view[DeliveryRequest].values()
    return [each.action for each in found if each.target_id == target_id]


@pytest.mark.parametrize("name", OF_TYPES)
async def test_a_channel_of_each_type_is_made_changed_and_keeps_its_secrets(
    client: httpx.AsyncClient, filled_api: Api, name: str
) -> None:
    form = fields_of((await client.get(f"{CHANNELS}/new?type={name}")).text)
    settings = {
        f"settings.{field}": "\n".join(value) if isinstance(value, list) else str(value)
        for field, value in OF_TYPES[name].items()
    }
    assert settings.keys() <= form.keys()
    made = await client.post(
        f"{CHANNELS}/new", data=form | settings | {"name": MARKUP, "events.alert.firing": "on"}
    )
    assert made.status_code == 303, faults_of(made.text)
    path = made.headers["location"]
    pages = [await client.get(each) for each in (path, f"{path}/edit", CHANNELS)]
    for page in pages:
        assert page.status_code == 200
        assert MARKUP not in page.text
        assert SECRET not in page.text
        assert "whsec_" not in page.text

    def channel() -> Channel:
        return filled_api.control.view.in_project(Channel, PROJECT)[path.rpartition("/")[2]]

    before = channel()
    form = fields_of(pages[1].text) | {"name": "renamed", "rate_per_minute": "7"}
    del form["send_resolved"]
    answer = await client.post(f"{path}/edit", data=form)
    assert answer.status_code == 303, faults_of(answer.text)
    assert channel() == before.model_copy(
        update={"name": "renamed", "rate_per_minute": 7, "send_resolved": False,
                "settings": channel().settings}
    )  # fmt: skip
    assert channel().settings.items() >= before.settings.items()


async def test_a_channel_is_tested_disabled_and_deleted(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    form = fields_of((await client.get(f"{CHANNELS}/new?type=slack")).text)
    form |= {"name": "ops", "settings.url": str(OF_TYPES["slack"]["url"])}
    path = (await client.post(f"{CHANNELS}/new", data=form)).headers["location"]
    channel_id = path.rpartition("/")[2]
    resolved = await client.get(f"{path}?state=resolved")
    assert "RESOLVED" in resolved.text
    sent = await client.post(f"{path}/test", data=form)
    assert "test message" in text_of((await client.get(sent.headers["location"])).text)
    assert requests(filled_api, channel_id) == ["test"]
    await client.post(f"{path}/switch", data=form | {"switch": "disable"})
    assert filled_api.control.view.in_project(Channel, PROJECT)[channel_id].disabled
    assert (await client.post(f"{path}/test", data=form)).status_code == 409
    assert (await client.post(f"{path}/delete", data=form)).status_code == 303
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"name": ""}, "name"), ({"settings.url": "https://127.0.0.1/x"}, "settings.url"),
     ({"settings.url": "ftp://x"}, "settings.url"), ({"settings.url": ""}, "settings.url"),
     ({"rate_per_minute": "many"}, "rate_per_minute"),
     ({"rate_per_minute": "0"}, "rate_per_minute"),
     ({"title_template": "{{ x"}, "title_template"), ({"events.x": "on"}, "events")],
)  # fmt: skip
async def test_a_mistake_in_a_channel_is_shown_next_to_its_field(
    client: httpx.AsyncClient, changed: dict[str, str], field: str
) -> None:
    form = fields_of((await client.get(f"{CHANNELS}/new?type=slack")).text)
    given = {"name": "ops", "settings.url": str(OF_TYPES["slack"]["url"])}
    answer = await client.post(f"{CHANNELS}/new", data=form | given | changed)
    assert answer.status_code == 422
    assert [name for name, _ in faults_of(answer.text)] == [field]
    assert SECRET not in answer.text, "a secret is not sent back"
    assert (await client.get(f"{CHANNELS}/new?type=x")).status_code == 400


async def test_a_route_is_made_changed_and_deleted(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    made = await filled_api.client.post(
        "/v1/channels", json={"type": "slack", "name": MARKUP, **OF_TYPES["slack"]}
    )
    channel_id = made.json()["id"]
    form = fields_of((await client.get(f"{ROUTES}/new")).text) | {
        "name": MARKUP, f"channel_ids.{channel_id}": "on", "events.alert.firing": "on",
        "severities.critical": "on", "labels": "team = search, billing", "rule_ids": "r1, r2",
        "group_wait_s": "1m30s", "repeat_interval_s": "0s",
    }  # fmt: skip
    answer = await client.post(f"{ROUTES}/new", data=form)
    assert answer.status_code == 303, faults_of(answer.text)

    def route() -> Route:
        (found,) = filled_api.control.view.in_project(Route, PROJECT).values()
        return found

    assert route().labels == {"team": ("search", "billing")}
    assert (route().group_wait_s, route().repeat_interval_s, route().rule_ids) == (
        90.0, 0.0, ("r1", "r2"),
    )  # fmt: skip
    before = route()
    edit = f"{ROUTES}/{before.id}/edit"
    page = await client.get(edit)
    assert MARKUP not in page.text
    assert (await client.post(edit, data=fields_of(page.text))).status_code == 303
    assert route() == before
    listed = await client.get(ROUTES)
    assert MARKUP not in listed.text
    await client.post(f"{ROUTES}/{before.id}/switch", data=form | {"switch": "disable"})
    assert route().disabled
    for changed, field in (
        ({f"channel_ids.{channel_id}": None}, "channel_ids"),
        ({"channel_ids.x": "on"}, "channel_ids"),
        ({"group_wait_s": "soon"}, "group_wait_s"), ({"labels": "team"}, "labels"),
        ({"name": ""}, "name"),
    ):  # fmt: skip
        given = {name: each for name, each in (form | changed).items() if each is not None}
        refused = await client.post(f"{ROUTES}/new", data=given)
        assert refused.status_code == 422
        assert [name for name, _ in faults_of(refused.text)] == [field], changed
    await client.post(f"{ROUTES}/{before.id}/delete", data=form)
    assert not filled_api.control.view.in_project(Route, PROJECT)


async def test_the_secret_of_a_webhook_is_shown_once(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    page = await client.get(f"{WEBHOOKS}/new")
    form = fields_of(page.text) | {"url": BODY["url"], "description": MARKUP}
    made = await client.post(f"{WEBHOOKS}/new", data=form)
    assert made.status_code == 201
    (secret,) = re.findall(r"whsec_[\w+/=]+", made.text)
    path = re.findall(r'href="([^"]+/webhooks/wh_[^"]+)"', made.text)[0]

    def webhook() -> Webhook:
        return filled_api.control.view.in_project(Webhook, PROJECT)[path.rpartition("/")[2]]

    assert webhook().secret == secret
    for each in (path, f"{path}/edit", WEBHOOKS):
        page = await client.get(each)
        assert page.status_code == 200
        assert MARKUP not in page.text
        assert "whsec_" not in page.text
    rotated = await client.post(f"{path}/rotate", data=form | {"overlap_s": "3600"})
    (new,) = re.findall(r"whsec_[\w+/=]+", rotated.text)
    assert new == webhook().secret != secret
    assert "also signs until" in text_of((await client.get(path)).text)
    assert (await client.post(f"{path}/rotate", data=form | {"overlap_s": "7"})).status_code == 400
    await client.post(f"{path}/test", data=form)
    await client.post(f"{path}/redeliver", data=form | {"since": "24h"})
    assert requests(filled_api, webhook().id) == ["test", "redeliver"]
    assert (await client.post(f"{path}/redeliver", data=form | {"since": "x"})).status_code == 400
    changed = fields_of((await client.get(f"{path}/edit")).text)
    changed |= {"url": f"{BODY['url']}/2", "events.prompt.deleted": "on"}
    assert (await client.post(f"{path}/edit", data=changed)).status_code == 303
    assert webhook().url == f"{BODY['url']}/2"
    assert "prompt.deleted" in webhook().events
    await client.post(f"{path}/switch", data=form | {"switch": "disable"})
    assert webhook().disabled
    assert (await client.post(f"{path}/test", data=form)).status_code == 409
    for wrong in ({"url": "http://localhost/x"}, {"url": ""}):
        refused = await client.post(f"{WEBHOOKS}/new", data=form | wrong)
        assert refused.status_code == 422
        assert [name for name, _ in faults_of(refused.text)] == ["url"]
    await client.post(f"{path}/delete", data=form)
    assert (await client.get(path)).status_code == 404


async def test_deliveries_are_listed_filtered_and_repeated(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    page = await client.get(DELIVERIES)
    assert len(re.findall(r'class="open"', page.text)) == 50
    assert "theirs" not in page.text
    assert MARKUP not in page.text
    following = re.findall(r'rel="next" href="([^"]+)"', page.text)[0].replace("&amp;", "&")
    assert len(re.findall(r'class="open"', (await client.get(DELIVERIES + following)).text)) == 12
    for query, count in (
        ("status=exhausted", 1), ("channel_id=ch1", 1), ("alert_id=a7", 1), ("status=dropped", 0),
    ):  # fmt: skip
        shown = await client.get(f"{DELIVERIES}?{query}")
        assert len(re.findall(r'class="open"', shown.text)) == count
    for query in ("status=x", "cursor=x", "webhook_id=w1&channel_id=ch1"):
        assert (await client.get(f"{DELIVERIES}?{query}")).status_code == 400
    one = await client.get(f"{DELIVERIES}/b~w1")
    assert MARKUP not in one.text
    assert MARKUP in text_of(one.text).replace("&lt;", "<")
    assert "503" in one.text
    form = {"csrf": csrf_in(one.text)}
    assert (await client.post(f"{DELIVERIES}/a1~w1/redeliver", data=form)).status_code == 409
    filled_api.control.keep(
        Webhook(id="w1", project_id=PROJECT, url="https://x.example", events=("alert.firing",),
                secret="whsec_" + "a" * 32, created_us=NOW_US)
    )  # fmt: skip
    answer = await client.post(f"{DELIVERIES}/a1~w1/redeliver", data=form)
    assert answer.status_code == 303
    assert (await client.get(answer.headers["location"])).status_code == 200
    assert requests(filled_api, "w1") == ["redeliver"]
    for missing in ("theirs~w1", "x", "x" * 600):
        assert (await client.get(f"{DELIVERIES}/{missing}")).status_code in {400, 404}
