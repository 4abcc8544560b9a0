"""Two tabs that edit one record: the later form does not silently undo the earlier one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio

from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.budget import Budget
from producers.control.kinds.channel import Channel
from producers.control.kinds.price import Price
from producers.control.kinds.route import Route
from producers.control.kinds.webhook import Webhook
from producers.control.record import ControlRecord
from query_api.console.page import Action, registered
from tests.query_api.console.browser import HOME, signed_in, text_of
from tests.query_api.console.form_fields import fields_of
from tests.query_api.harness import PROJECT, Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Form(NamedTuple):
    """The form of a kind of records: the fields of a new one, and one that tabs change."""

    record: type[ControlRecord]
    new: dict[str, str]
    changed: str = "name"
    query: str = ""


FORMS = {
    "budgets": Form(Budget, {"name": "Spend", "limit_usd": "10"}),
    "alert-rules": Form(AlertRule, {"name": "Errors", "threshold": "5"}),
    "channels": Form(
        Channel, {"name": "Ops", "settings.url": "https://93.184.216.34/a"}, query="?type=slack"
    ),
    "routes": Form(Route, {"name": "All", "channel_ids.ops": "on"}),
    "prices": Form(Price, {"name": "m", "match": "m", "usd_per_million": "input = 1"}),
    "webhooks": Form(
        Webhook, {"url": "https://93.184.216.34/hook", "events.alert.firing": "on"}, "description"
    ),
}
ELSEWHERE = {"dashboards"}
"""Documents, whose forms ``test_dashboard_pages`` tries."""
STALE = "Somebody has changed this since you opened it."


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(refusing_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    refusing_api.control.keep(
        Channel(id="ops", project_id=PROJECT, name="ops", type="slack", created_us=1)
    )
    async with signed_in(refusing_api) as opened:
        yield opened


async def edit_path(client: httpx.AsyncClient, api: Api, path: str) -> str:
    """The path of the form of a record that the form for new ones has made."""
    form = FORMS[path]
    held = set(api.control.view[form.record])
    new = f"{HOME}/{path}/new"
    fields = fields_of((await client.get(new + form.query)).text)
    made = await client.post(new, data=fields | form.new)
    assert made.status_code in {201, 303}, text_of(made.text)
    (made_id,) = set(api.control.view[form.record]) - held
    return f"{HOME}/{path}/{made_id}/edit"


async def test_every_form_that_edits_a_record_is_tried() -> None:
    edits = {
        each.path.split("/")[1]
        for each in registered()
        if isinstance(each, Action) and each.path.endswith("/edit")
    }
    assert edits == set(FORMS) | ELSEWHERE


@pytest.mark.parametrize("path", FORMS)
async def test_the_later_of_two_tabs_does_not_undo_the_earlier(
    client: httpx.AsyncClient, refusing_api: Api, path: str
) -> None:
    edit, changed = await edit_path(client, refusing_api, path), FORMS[path].changed
    loaded = fields_of((await client.get(edit)).text)
    first = await client.post(edit, data=loaded | {changed: "First tab"})
    second = await client.post(edit, data=loaded | {changed: "Second tab"})

    assert first.status_code == 303
    assert second.status_code == 412
    assert STALE in text_of(second.text)
    shown = fields_of(second.text)
    assert shown[changed] == "Second tab", "what the viewer typed is kept"
    assert fields_of((await client.get(edit)).text)[changed] == "First tab"

    assert (await client.post(edit, data=shown)).status_code == 412, "the form is still the old one"

    again = fields_of((await client.get(edit)).text) | {changed: "Second tab"}
    assert (await client.post(edit, data=again)).status_code == 303
    assert fields_of((await client.get(edit)).text)[changed] == "Second tab"


async def test_a_form_of_a_refused_value_can_be_saved_after_it_is_corrected(
    client: httpx.AsyncClient, refusing_api: Api
) -> None:
    edit = await edit_path(client, refusing_api, "budgets")
    loaded = fields_of((await client.get(edit)).text)
    refused = await client.post(edit, data=loaded | {"limit_usd": "ten"})
    assert refused.status_code == 422
    corrected = fields_of(refused.text) | {"limit_usd": "20"}
    assert (await client.post(edit, data=corrected)).status_code == 303


async def test_a_form_without_a_version_is_refused(
    client: httpx.AsyncClient, refusing_api: Api
) -> None:
    edit = await edit_path(client, refusing_api, "budgets")
    fields = fields_of((await client.get(edit)).text)
    del fields["version"]
    answer = await client.post(edit, data=fields)
    assert answer.status_code == 412
    assert (await client.post(edit, data=fields_of(answer.text))).status_code == 412


async def test_the_reason_is_in_the_language_of_the_viewer(
    client: httpx.AsyncClient, refusing_api: Api
) -> None:
    edit = await edit_path(client, refusing_api, "budgets")
    answer = await client.post(
        edit, data=fields_of((await client.get(edit)).text) | {"version": "old"},
        headers={"accept-language": "zh-CN"},
    )  # fmt: skip
    assert answer.status_code == 412
    assert "有人更改了它" in answer.text
    assert STALE not in answer.text
