"""Saved views: unique names by page, queries as the pages accept them, renames, and tenants."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from query_api.documents.documents import Documents
from tests.query_api.harness import PROJECT, Api

PATH = "/v1/views"
ERRORS = {"page": "traces", "name": "Errors", "query": "?q=level:error&order=timestamp.desc"}


async def test_views_are_saved_listed_changed_and_deleted(api: Api) -> None:
    made = await api.client.post(PATH, json=ERRORS)
    assert made.status_code == 201, made.text
    view = made.json()
    # What is the default of the page is left out.
    assert (view["query"], view["author"]) == ("q=level%3Aerror", f"pk-{PROJECT}")
    again = await api.client.post(PATH, json=ERRORS)
    assert again.status_code == 409
    assert again.json()["error"]["message"] == "name: the page traces already has a view 'Errors'"
    # The name is free on another page.
    other = await api.client.post(PATH, json={**ERRORS, "page": "observations", "query": ""})
    assert other.status_code == 201
    listed = (await api.client.get(PATH)).json()["data"]
    assert [each["page"] for each in listed] == ["observations", "traces"]
    (of_page,) = (await api.client.get(f"{PATH}?page=traces")).json()["data"]
    assert of_page == view
    first = (await api.client.get(f"{PATH}?limit=1")).json()
    assert first["meta"]["has_more"]
    rest = (await api.client.get(PATH, params={"cursor": first["meta"]["cursor"]})).json()
    assert [*first["data"], *rest["data"]] == listed

    of_view = f"{PATH}/{view['id']}"
    changed = await api.client.put(of_view, json={**ERRORS, "query": "q=user:ada&range=24h"})
    assert changed.json()["query"] == "q=user%3Aada&range=24h"
    assert changed.json()["id"] == view["id"]
    stale = await api.client.put(
        of_view, json=ERRORS, headers={"If-Match": made.headers["etag"]}
    )  # fmt: skip
    assert stale.status_code == 409
    for client, status in ((api.other, 404), (api.client, 204), (api.client, 404)):
        assert (await client.delete(of_view)).status_code == status
    assert (await api.client.get(of_view)).status_code == 404


async def test_a_renamed_view_has_another_id_and_its_old_name_is_free(api: Api) -> None:
    first, second = [
        (await api.client.post(PATH, json={**ERRORS, "name": name})).json() for name in "ab"
    ]
    taken = await api.client.put(f"{PATH}/{first['id']}", json={**ERRORS, "name": "b"})
    assert taken.status_code == 409
    renamed = await api.client.put(f"{PATH}/{first['id']}", json={**ERRORS, "name": "c"})
    assert renamed.status_code == 200
    assert renamed.json()["id"] != first["id"]
    assert renamed.json()["created_at"] == first["created_at"]
    assert (await api.client.get(f"{PATH}/{first['id']}")).status_code == 404
    names = [each["name"] for each in (await api.client.get(PATH)).json()["data"]]
    assert sorted(names) == ["b", "c"]
    assert (await api.client.post(PATH, json={**ERRORS, "name": "a"})).json()["id"] == first["id"]
    assert second["id"] != first["id"]


async def test_a_view_that_is_changed_while_it_is_renamed_keeps_its_name(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await api.client.post(PATH, json=ERRORS)
    path, delete = f"{PATH}/{made.json()['id']}", Documents.delete

    async def delete_after_change(documents: Documents, *of: Any) -> bool:
        monkeypatch.undo()
        assert (await api.client.put(path, json={**ERRORS, "query": "range=1h"})).is_success
        return await delete(documents, *of)

    monkeypatch.setattr(Documents, "delete", delete_after_change)
    match = {"If-Match": made.headers["etag"]}
    renamed = await api.client.put(path, json={**ERRORS, "name": "c"}, headers=match)
    assert renamed.status_code == 409
    listed = (await api.client.get(PATH)).json()["data"]
    assert [(each["name"], each["query"]) for each in listed] == [("Errors", "range=1h")]


async def test_of_concurrent_views_with_a_name_one_is_saved(api: Api) -> None:
    answers = await asyncio.gather(*(api.client.post(PATH, json=ERRORS) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"page": "settings"}, "page", "page: "),
        ({"name": " "}, "name", "name: "),
        ({"query": "x" * 4_001}, "query", "query: "),
        ({"query": "planet=mars"}, "query", "query: 'planet' is not one of q, order"),
        ({"query": "cursor=abc"}, "query", "query: 'cursor' is not one of q, order"),
        ({"query": "q=planet:mars"}, "query", "query: q: 'planet' is not one of name"),
        ({"query": "columns=secret"}, "query", "query: columns: must be of preview"),
        ({"page": "users", "query": "order=beauty"}, "query", "query: order: must be one of"),
        ({"page": "explore", "query": "measure=beauty"}, "query", "'beauty' is not a measure"),
        ({"page": "explore", "query": "by=planet"}, "query", "'planet' is not a dimension"),
        ({"planet": 1}, "planet", "unknown field"),
    ],
)
async def test_what_a_page_refuses_is_not_saved(
    refusing_api: Api, body: dict[str, object], field: str, message: str
) -> None:
    refused = await refusing_api.client.post(PATH, json={**ERRORS, **body})
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["field"] == field
    assert message in refused.json()["error"]["message"]
