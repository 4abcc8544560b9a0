"""The installation's admin makes projects and keys, and the keys do what they permit."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from producers.control.keys import new_api_key
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.project import Project
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api
from tracemill.clock import now_us

PROJECTS = "/v1/admin/projects"


async def made(api: Api, path: str, **body: Any) -> dict[str, Any]:
    answer = await api.admin.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def status_with(api: Api, key: dict[str, Any], path: str = "/api/public/projects") -> int:
    auth = (key["public_key"], key["secret_key"])
    return (await api.anonymous.get(path, auth=auth)).status_code


async def test_a_project_is_made_with_a_key_that_reads_it(api: Api) -> None:
    project = await made(api, PROJECTS, id="third", name="Third", metadata={"team": ["a", 1]})
    assert (project["state"], project["metadata"]) == ("active", {"team": ["a", 1]})
    key = await made(api, f"{PROJECTS}/third/keys", note="of a test")
    assert key["scopes"] == ["ingest", "scores", "read", "write"]
    assert key["secret_key"].startswith(key["hint"].split("…")[0])

    auth = (key["public_key"], key["secret_key"])
    (own,) = (await api.anonymous.get("/api/public/projects", auth=auth)).json()["data"]

    assert (own["id"], own["name"]) == ("third", "Third")
    without = {name: key[name] for name in key if name != "secret_key"}
    assert (await api.admin.get(f"{PROJECTS}/third/keys")).json() == {"data": [without]}
    assert (await api.admin.get(f"{PROJECTS}/third/keys/{key['id']}")).json() == without
    assert key["secret_key"] not in str(api.control.view[ApiKey][key["id"]].model_dump())


async def test_an_id_or_name_that_is_taken_is_named(api: Api) -> None:
    await made(api, PROJECTS, id="third", name="Third")
    for body, named in (({"id": "third", "name": "x"}, "'third'"), ({"name": "Third"}, "'Third'")):
        refused = await api.admin.post(PROJECTS, json=body)
        assert refused.status_code == 409
        assert named in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "x", "id": "a b"}, "id"),
        ({"name": "x", "id": ""}, "id"),
        ({"name": "x", "id": "."}, "id"),
        ({"name": "x", "id": ".."}, "id"),
        ({"name": "x", "id": "-x"}, "id"),
        ({"name": "x", "id": "x\n"}, "id"),
        ({"name": "x", "metadata": []}, "metadata"),
        ({"name": "x", "metadata": {"a": "b" * 20_000}}, "metadata"),
        ({"name": "x", "state": "deleted"}, "state"),
    ],
)
async def test_a_project_that_cannot_be_made_names_the_field(
    api: Api, body: dict[str, Any], field: str
) -> None:
    refused = await api.admin.post(PROJECTS, json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


async def test_metadata_that_is_no_text_is_refused(api: Api) -> None:
    body = b'{"name": "x", "metadata": {"a": "\\ud800"}}'
    headers = {"content-type": "application/json"}
    refused = await api.admin.post(PROJECTS, content=body, headers=headers)
    assert refused.status_code == 422


async def test_a_project_is_changed_only_at_the_version_that_is_named(api: Api) -> None:
    await made(api, PROJECTS, id="third", name="Third", metadata={"a": 1})
    first = await api.admin.get(f"{PROJECTS}/third")
    match = {"if-match": first.headers["etag"]}

    changed = await api.admin.patch(f"{PROJECTS}/third", json={"name": "New"}, headers=match)
    stale = await api.admin.patch(f"{PROJECTS}/third", json={"name": "Other"}, headers=match)

    assert (changed.status_code, stale.status_code) == (200, 409)
    assert (changed.json()["name"], changed.json()["metadata"]) == ("New", {"a": 1})
    taken = await api.admin.patch(f"{PROJECTS}/third", json={"name": PROJECT.title()})
    assert taken.status_code == 409
    assert (await api.admin.patch(f"{PROJECTS}/fourth", json={})).status_code == 404


async def test_a_deleted_project_refuses_its_keys_and_keeps_its_id(api: Api) -> None:
    await made(api, PROJECTS, id="third", name="Third")
    key = await made(api, f"{PROJECTS}/third/keys")
    assert await status_with(api, key) == 200

    deleted = await api.admin.delete(f"{PROJECTS}/third")
    again = await api.admin.delete(f"{PROJECTS}/third")

    assert (deleted.status_code, deleted.json()["state"]) == (202, "deleting")
    assert (again.status_code, again.json()) == (202, deleted.json())
    assert await status_with(api, key) == 401
    assert (await api.admin.post(f"{PROJECTS}/third/keys", json={})).status_code == 409
    assert (await api.admin.patch(f"{PROJECTS}/third", json={"name": "x"})).status_code == 409
    refused = await api.admin.post(PROJECTS, json={"id": "third", "name": "Again"})
    assert (refused.status_code, "deleted" in refused.text) == (409, True)
    await made(api, PROJECTS, name="Third")
    assert (await api.client.get("/v1/budgets")).status_code == 200


async def test_a_rotated_secret_is_valid_for_the_overlap_only(api: Api) -> None:
    path = f"{PROJECTS}/{PROJECT}/keys"
    key = await made(api, path)

    replaced = (await api.admin.post(f"{path}/{key['id']}/rotate", json={})).json()
    assert [await status_with(api, each) for each in (key, replaced)] == [401, 200]

    overlapping = (
        await api.admin.post(f"{path}/{key['id']}/rotate", json={"overlap_s": 3600})
    ).json()
    assert [await status_with(api, each) for each in (key, replaced, overlapping)] == [
        401,
        200,
        200,
    ]
    assert overlapping["previous_secret_valid_until"] is not None
    record = api.control.view[ApiKey][key["id"]]
    api.control.keep(record.model_copy(update={"previous_valid_until_us": now_us()}))
    assert [await status_with(api, each) for each in (replaced, overlapping)] == [401, 200]
    refused = await api.admin.post(f"{path}/{key['id']}/rotate", json={"overlap_s": 10**9})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "overlap_s")


async def test_a_revoked_key_is_refused_at_once(api: Api) -> None:
    path = f"{PROJECTS}/{PROJECT}/keys"
    key = await made(api, path)
    assert await status_with(api, key) == 200
    assert (await api.admin.delete(f"{path}/{key['id']}")).status_code == 204
    assert await status_with(api, key) == 401
    assert (await api.admin.delete(f"{path}/{key['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"note": "x" * 256}, "note"),
        ({"project_id": OTHER}, "project_id"),
    ],
)
async def test_a_key_that_cannot_be_made_names_the_field(
    api: Api, body: dict[str, Any], field: str
) -> None:
    refused = await api.admin.post(f"{PROJECTS}/{PROJECT}/keys", json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (f"{PROJECTS}/{PROJECT}/keys", {"scopes": []}, "scopes: it has 0 items; at least 1 needed"),
        (
            f"{PROJECTS}/{PROJECT}/keys",
            {"scopes": ["all"]},
            (
                "scopes.0: 'all' is not allowed; ingest, scores, read, write, metrics or admin is"
                " expected"
            ),
        ),
        (
            f"{PROJECTS}/{PROJECT}/keys",
            {"note": 5},
            "note: 5 is not allowed; a string is expected",
        ),
        (
            f"{PROJECTS}/{PROJECT}/keys",
            {"note": "x" * 256},
            "note: it has 256 characters; at most 255 allowed",
        ),
        (
            PROJECTS,
            {"name": "x", "id": "a b"},
            (
                "id: 'a b' is not allowed; an id is 1 to 128 letters (a-z), digits and"
                " . _ : @ -, does not begin with -, and is neither . nor .."
            ),
        ),
        (PROJECTS, {"name": ["x"]}, "name: a list is not allowed; a string is expected"),
        (
            "/v1/admin/prices",
            {"match": "m", "usd_per_million": {"ä": "1"}},
            (
                "usd_per_million.ä.[key]: 'ä' is not allowed; 1 to 100 letters (a-z), digits,"
                " spaces and _ . : / -, beginning with a letter, a digit or _ are expected"
            ),
        ),
        (
            "/v1/admin/prices",
            {"match": "m", "usd_per_million": {}},
            "usd_per_million: it has 0 items; at least 1 needed",
        ),
        (
            "/v1/admin/prices",
            {"match": "m", "usd_per_million": {"input": "1"}, "tiers": [{"input_above": -1}]},
            "tiers.0.input_above: -1 is not allowed; 0 or more is expected",
        ),
    ],
)
async def test_a_refusal_names_the_value_and_what_is_allowed(
    api: Api, path: str, body: dict[str, Any], message: str
) -> None:
    refused = await api.admin.post(path, json=body)
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, message)


async def test_a_key_is_made_and_rotated_with_the_defaults_without_a_body(api: Api) -> None:
    path = f"{PROJECTS}/{PROJECT}/keys"
    key = (await api.admin.post(path)).json()
    assert key["scopes"] == ["ingest", "scores", "read", "write"]
    rotated = (await api.admin.post(f"{path}/{key['id']}/rotate")).json()
    assert [await status_with(api, each) for each in (key, rotated)] == [401, 200]


async def test_a_key_that_has_expired_is_not_rotated(api: Api) -> None:
    path = f"{PROJECTS}/{PROJECT}/keys"
    key = await made(api, path)
    record = api.control.view[ApiKey][key["id"]]
    api.control.keep(record.model_copy(update={"expires_at_us": NOON_US}))
    refused = await api.admin.post(f"{path}/{key['id']}/rotate", json={})
    assert refused.status_code == 409
    message = refused.json()["error"]["message"]
    assert ("expired at 20" in message, "create a new key" in message) == (True, True)


async def test_a_project_whose_id_is_no_longer_allowed_is_still_managed(api: Api) -> None:
    api.control.keep(Project(id="-old", name="Old", created_us=NOON_US))
    assert (await api.admin.get(f"{PROJECTS}/-old")).json()["name"] == "Old"
    assert (await api.admin.delete(f"{PROJECTS}/-old")).status_code == 202


async def test_a_key_lists_its_scopes_once_and_in_order(api: Api) -> None:
    key = await made(api, f"{PROJECTS}/{PROJECT}/keys", scopes=["write", "read", "write"])
    assert key["scopes"] == ["read", "write"]


async def test_projects_and_keys_are_listed_in_pages(api: Api) -> None:
    for number in range(3):
        await made(api, PROJECTS, name=f"p{number}")
        await made(api, f"{PROJECTS}/{PROJECT}/keys")
    for path in (PROJECTS, f"{PROJECTS}/{PROJECT}/keys"):
        everything = (await api.admin.get(path)).json()["data"]
        found, cursor = [], {}
        while True:
            page = (await api.admin.get(path, params={"limit": 2, **cursor})).json()
            found += page["data"]
            if not page["meta"]["has_more"]:
                break
            cursor = {"cursor": page["meta"]["cursor"]}
        assert found == everything


def admin_of(api: Api, project_id: str) -> httpx.BasicAuth:
    """Add a key with the scope ``admin``."""
    key = new_api_key(
        key_id=f"admin-{project_id}",
        project_id=project_id,
        public_key=f"pk-admin-{project_id}",
        secret="s",
        created_us=NOON_US,
        scopes=["admin"],
    )
    api.control.keep(key)
    return httpx.BasicAuth(key.public_key, "s")


async def test_an_admin_of_a_project_manages_its_keys_and_nothing_else(api: Api) -> None:
    auth, client = admin_of(api, PROJECT), api.anonymous
    listed = (await client.get(PROJECTS, auth=auth)).json()["data"]
    assert [each["id"] for each in listed] == [PROJECT]
    keys = f"{PROJECTS}/{PROJECT}/keys"
    key = (await client.post(keys, json={"scopes": ["read"]}, auth=auth)).json()
    assert await status_with(api, key) == 200
    assert (await client.delete(f"{keys}/{key['id']}", auth=auth)).status_code == 204
    for method, path in (("POST", PROJECTS), ("PATCH", f"{PROJECTS}/{PROJECT}")):
        refused = await client.request(method, path, json={"name": "x"}, auth=auth)
        assert refused.status_code == 403
    assert (await client.delete(f"{PROJECTS}/{PROJECT}", auth=auth)).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/keys"),
        ("POST", "/keys"),
        ("GET", f"/keys/key-{OTHER}"),
        ("DELETE", f"/keys/key-{OTHER}"),
        ("POST", f"/keys/key-{OTHER}/rotate"),
    ],
)
async def test_another_project_is_like_one_that_does_not_exist(
    api: Api, method: str, path: str
) -> None:
    auth = admin_of(api, PROJECT)
    for at in (f"{OTHER}{path}", f"{PROJECT}{path}" if "key-" in path else f"{OTHER}{path}"):
        foreign = await api.anonymous.request(method, f"{PROJECTS}/{at}", json={}, auth=auth)
        absent = await api.anonymous.request(
            method, f"{PROJECTS}/{at.replace(OTHER, 'glibex')}", json={}, auth=auth
        )
        assert foreign.status_code in {403, 404}
        assert foreign.text.replace(OTHER, "glibex") == absent.text
        assert foreign.status_code == absent.status_code
    assert (await api.other.get("/v1/budgets")).status_code == 200


async def test_there_are_at_most_as_many_as_the_settings_say(api: Api) -> None:
    limited, clients = make_api(
        api.store, QuerySettings(projects_max=4, api_keys_per_project_max=3)
    )
    answers = await asyncio.gather(
        *(limited.admin.post(PROJECTS, json={"name": f"p{number}"}) for number in range(6)),
        *(limited.admin.post(f"{PROJECTS}/{PROJECT}/keys", json={}) for _ in range(6)),
    )
    assert sorted(each.status_code for each in answers) == [201] * 4 + [409] * 8
    assert len(limited.control.view[Project]) == 4
    project = next(each for each in limited.control.view[Project] if each.startswith("prj_"))
    await limited.admin.delete(f"{PROJECTS}/{project}")
    assert (await limited.admin.post(PROJECTS, json={"name": "p9"})).status_code == 201
    for client in clients:
        await client.aclose()
