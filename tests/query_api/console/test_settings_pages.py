"""Prices, tiers of users and API keys in the console."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.price import Price
from streams.core.observations.versions import version_floor
from tests.query_api.console.browser import (
    HOME,
    SIGN_IN,
    browser,
    csrf_in,
    signed_in_with,
    text_of,
)
from tests.query_api.console.form_fields import faults_of, fields_of
from tests.query_api.harness import OTHER, PROJECT, Api, Kept, observation
from tracemill.clock import now_us

PRICES, TIERS, KEYS = (f"{HOME}/{name}" for name in ("prices", "tiers", "keys"))
MARKUP = "<script>alert(1)</script>"
NOW_US = now_us()
HOUR_US = 3_600_000_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    """A store with calls of a model without a price."""
    return kept(
        [
            observation(
                "t", "o2", NOW_US - HOUR_US, model=MARKUP, usage={"input": 10, "total": 10},
                cost_source="unpriced", row_version=version_floor(NOW_US - HOUR_US),
            ),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(filled_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in_with(filled_api, "read", "admin") as found:
        yield found


async def test_a_price_is_made_for_a_model_changed_and_deleted(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    form = fields_of((await client.get(f"{PRICES}/new?model=my.model%201")).text)
    assert form["match"] == r"my\.model 1"
    form |= {"usd_per_million": "input = 2.5\noutput = \ncached = 0.25"}
    assert (await client.post(f"{PRICES}/new", data=form)).status_code == 303
    (price,) = filled_api.control.view.in_project(Price, PROJECT).values()
    assert price.prices == {"input": 2_500_000, "cached": 250_000}
    form |= {
        "name": MARKUP, "effective_from": "2026-01-01T00:00:00Z",
        "tiers": '[{"input_above": 200000, "usd_per_million": {"input": "5"}}]',
    }  # fmt: skip
    edit = f"{PRICES}/{price.id}/edit"
    loaded = fields_of((await client.get(edit)).text)
    assert (await client.post(edit, data=loaded | form)).status_code == 303
    (changed,) = filled_api.control.view.in_project(Price, PROJECT).values()
    page = await client.get(edit)
    assert (await client.post(edit, data=fields_of(page.text))).status_code == 303
    assert filled_api.control.view.in_project(Price, PROJECT)[price.id] == changed
    listed = await client.get(f"{PRICES}?model=gpt-4o")
    assert "/prices/new?model=%3Cscript" in listed.text, "of the model without a price"
    assert MARKUP not in listed.text + page.text
    assert "1 tier" in text_of(listed.text)
    assert "openai" in listed.text.lower()
    for wrong, field in (
        ({"match": "("}, "match"), ({"match": ""}, "match"),
        ({"usd_per_million": "input"}, "usd_per_million"),
        ({"usd_per_million": "input = much"}, "usd_per_million"),
        ({"usd_per_million": ""}, "usd_per_million"), ({"effective_from": "now"}, "effective_from"),
        ({"tiers": "["}, "tiers"), ({"tiers": '[{"usd_per_million": {}}]'}, "tiers"),
    ):  # fmt: skip
        refused = await client.post(f"{PRICES}/new", data=form | wrong)
        assert refused.status_code == 422
        assert {name for name, _ in faults_of(refused.text)} == {field}, wrong
    await client.post(f"{PRICES}/{price.id}/delete", data=form)
    assert not filled_api.control.view.in_project(Price, PROJECT)


async def test_tiers_are_set_listed_and_removed(client: httpx.AsyncClient) -> None:
    csrf = {"csrf": csrf_in((await client.get(TIERS)).text)}
    for user, tier in ((MARKUP, "pro"), ("grace", "free")):
        given = csrf | {"user_id": user, "tier": tier}
        assert (await client.post(f"{TIERS}/set", data=given)).status_code == 303
    listed = await client.get(TIERS)
    assert MARKUP not in listed.text
    assert "grace" in listed.text
    of_pro = await client.get(f"{TIERS}?tier=pro")
    assert "grace" not in of_pro.text
    assert "pro" in of_pro.text
    await client.post(f"{TIERS}/set", data=csrf | {"user_id": "grace", "tier": ""})
    assert "grace" not in (await client.get(TIERS)).text
    refused = await client.post(f"{TIERS}/set", data=csrf | {"user_id": "", "tier": "x" * 200})
    assert refused.status_code == 422
    assert {name for name, _ in faults_of(refused.text)} == {"user_id", "tier"}
    assert (await client.get(f"{TIERS}?cursor=x")).status_code == 400


async def test_the_secret_of_a_key_is_shown_once(admin: httpx.AsyncClient, filled_api: Api) -> None:
    form = fields_of((await admin.get(f"{KEYS}/new")).text)
    assert "scopes.read" in form
    assert "scopes.admin" not in form
    made = await admin.post(f"{KEYS}/new", data=form | {"note": MARKUP})
    assert made.status_code == 201
    public, secret = re.findall(r'class="secret">([^<]+)<', made.text)
    async with browser(filled_api) as another:
        keys = {"public_key": public, "secret_key": secret}
        assert (await another.post(SIGN_IN, data=keys)).status_code == 303
    listed = await admin.get(KEYS)
    assert secret not in listed.text
    assert MARKUP not in listed.text
    assert public in listed.text
    keys_of_project = filled_api.control.view.in_project(ApiKey, PROJECT).values()
    (key,) = (each for each in keys_of_project if each.public_key == public)
    rotated = await admin.post(f"{KEYS}/{key.id}/rotate", data=form | {"overlap_s": "0"})
    assert re.findall(r'class="secret">([^<]+)<', rotated.text)[1] != secret
    bad = await admin.post(f"{KEYS}/{key.id}/rotate", data=form | {"overlap_s": "5"})
    assert bad.status_code == 400
    assert (await admin.post(f"{KEYS}/{key.id}/revoke", data=form)).status_code == 303
    assert public not in (await admin.get(KEYS)).text
    assert (await admin.post(f"{KEYS}/{key.id}/revoke", data=form)).status_code == 404
    for wrong, field in (
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"), ({"expires_at": "x"}, "expires_at"),
        ({"note": "x" * 300}, "note"),
    ):  # fmt: skip
        refused = await admin.post(f"{KEYS}/new", data=form | wrong)
        assert refused.status_code == 422
        assert [name for name, _ in faults_of(refused.text)] == [field]
    without = {name: each for name, each in form.items() if not name.startswith("scopes.")}
    refused = await admin.post(f"{KEYS}/new", data=without)
    assert [name for name, _ in faults_of(refused.text)] == ["scopes"]


async def test_keys_of_another_project_are_neither_seen_nor_changed(
    admin: httpx.AsyncClient, filled_api: Api
) -> None:
    page = await admin.get(KEYS)
    assert f"pk-{OTHER}" not in page.text
    csrf = {"csrf": csrf_in(page.text)}
    for action in ("rotate", "revoke"):
        path = f"{KEYS}/key-{OTHER}/{action}"
        assert (await admin.post(path, data=csrf | {"overlap_s": "0"})).status_code == 404
    assert f"key-{OTHER}" in filled_api.control.view[ApiKey]
