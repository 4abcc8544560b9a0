"""The settings of a project on one page, and the form of protected labels."""

from __future__ import annotations

import pytest

from producers.control.kinds.protected_labels import ProtectedLabels
from tests.query_api.console.browser import HOME, csrf_in, signed_in, signed_in_with, text_of
from tests.query_api.console.form_fields import faults_of, fields_of
from tests.query_api.harness import OTHER, PROJECT, Api

SETTINGS = f"{HOME}/settings"
PROTECT = f"{SETTINGS}/protected-labels"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_page_shows_what_is_set_and_keys_only_to_admins(refusing_api: Api) -> None:
    tier = {"tier": "<b>gold</b>"}
    assert (await refusing_api.client.put("/v1/tiers/ada", json=tier)).is_success
    price = {"name": "m", "match": "m", "usd_per_million": {"input": "1"}}
    assert (await refusing_api.client.post("/v1/prices", json=price)).is_success
    async with signed_in(refusing_api) as client:
        page = await client.get(SETTINGS)
    shown = text_of(page.text)
    assert "<b>gold</b>: 1" in shown
    assert "<b>gold" not in page.text
    assert "1 price of this project comes before" in shown
    assert f"pk-{PROJECT} ingest read scores write" in shown, "the key of the session"
    assert f"tracemill keys create --project {PROJECT} --scopes" in shown
    assert "Limits of this project" not in shown
    assert "<form class=" not in page.text.partition("protected-labels")[2]
    async with signed_in_with(refusing_api, "read", "admin") as admin:
        page = await admin.get(SETTINGS)
    shown = text_of(page.text)
    assert f"pk-{PROJECT}" in shown
    assert f"pk-{OTHER}" not in shown
    assert "Limits of this project" in shown


async def test_labels_are_protected_and_the_later_of_two_tabs_changes_nothing(
    refusing_api: Api,
) -> None:
    async with signed_in_with(refusing_api, "read", "admin") as admin:
        fields = fields_of((await admin.get(SETTINGS)).text)
        saved = await admin.post(PROTECT, data=fields | {"labels": "production, staging"})
        assert saved.headers["location"] == SETTINGS
        held = refusing_api.control.view[ProtectedLabels][PROJECT]
        assert held.labels == ("production", "staging")
        late = await admin.post(PROTECT, data=fields | {"labels": "other"})
        assert late.status_code == 412
        assert "Somebody has changed this" in late.text
        assert 'value="other"' in late.text
        opened = fields_of((await admin.get(SETTINGS)).text)
        assert opened["labels"] == "production, staging"
        refused = await admin.post(PROTECT, data=opened | {"labels": "latest, UPPER CASE"})
        assert refused.status_code == 422
        assert [name for name, _ in faults_of(refused.text)] == ["labels"]
        assert (await admin.post(PROTECT, data=opened | {"labels": ""})).status_code == 303
        stale = await admin.post(PROTECT, data=opened | {"labels": "late"})
        assert stale.status_code == 412
        assert refusing_api.control.view[ProtectedLabels][PROJECT].labels == ()
    async with signed_in(refusing_api) as client:
        csrf = csrf_in((await client.get(SETTINGS)).text)
        assert (await client.post(PROTECT, data={"csrf": csrf, "labels": "x"})).status_code == 403


async def test_the_api_changes_the_list_only_as_it_was_read(refusing_api: Api) -> None:
    async with signed_in_with(refusing_api, "read", "admin"):
        auth = ("pk-read-admin", "sk-read-admin")
    path, api = "/v1/protected-labels", refusing_api.anonymous
    first = await api.put(path, json={"labels": ["a"]}, auth=auth)
    tag = (await api.get(path, auth=auth)).headers["etag"]
    assert first.headers["etag"] == tag
    match = {"if-match": tag}
    assert (await api.put(path, json={"labels": ["b"]}, auth=auth, headers=match)).is_success
    late = await api.put(path, json={"labels": ["c"]}, auth=auth, headers=match)
    assert late.status_code == 409
    assert (await api.get(path, auth=auth)).json() == {"labels": ["b"]}
