"""Projects and API keys as Langfuse's API has them: the same records as those of ``/v1/admin``."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from producers.control.keys import new_api_key
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api

PROJECTS = "/api/public/projects"


async def created(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.admin.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_project_and_its_key_are_those_of_the_admin_routes(api: Api) -> None:
    project = await created(api, PROJECTS, {"name": "Third", "metadata": {"a": 1}, "retention": 0})
    assert project == {
        "id": project["id"], "name": "Third", "metadata": {"a": 1}, "retentionDays": None,
        "organization": {"id": project["id"], "name": "Third"},
    }  # fmt: skip
    keys = f"{PROJECTS}/{project['id']}/apiKeys"
    key = await created(api, keys, {"note": "n"})
    assert set(key) == {"id", "createdAt", "publicKey", "secretKey", "displaySecretKey", "note"}

    auth = (key["publicKey"], key["secretKey"])
    own = (await api.anonymous.get(PROJECTS, auth=auth)).json()
    assert own == {"data": [project]}
    native = (await api.admin.get(f"/v1/admin/projects/{project['id']}/keys")).json()["data"]
    (listed,) = (await api.admin.get(keys)).json()["apiKeys"]
    assert [each["public_key"] for each in native] == [listed["publicKey"]] == [key["publicKey"]]
    assert (listed["expiresAt"], listed["lastUsedAt"], listed["note"]) == (None, None, "n")
    assert "secretKey" not in listed

    deleted = await api.admin.delete(f"{keys}/{key['id']}")
    assert (deleted.status_code, deleted.json()) == (200, {"success": True})
    assert (await api.anonymous.get(PROJECTS, auth=auth)).status_code == 401


async def test_a_project_is_changed_and_deleted(api: Api) -> None:
    project = await created(api, PROJECTS, {"name": "Third", "metadata": {"a": 1}})
    path = f"{PROJECTS}/{project['id']}"
    changed = await api.admin.put(path, json={"name": "New"})
    assert (changed.status_code, changed.json()["name"]) == (200, "New")
    assert changed.json()["metadata"] == {"a": 1}
    deleted = await api.admin.delete(path)
    assert (deleted.status_code, deleted.json()["success"]) == (202, True)
    state = (await api.admin.get(f"/v1/admin/projects/{project['id']}")).json()["state"]
    assert state == "deleting"


async def test_a_key_pair_may_be_given(api: Api) -> None:
    pair = {"publicKey": "pk-lf-0123456789", "secretKey": "sk-lf-0123456789abcdef"}
    keys = f"{PROJECTS}/{PROJECT}/apiKeys"
    key = await created(api, keys, pair)
    assert {name: key[name] for name in pair} == pair
    auth = (pair["publicKey"], pair["secretKey"])
    assert (await api.anonymous.get(PROJECTS, auth=auth)).status_code == 200
    again = await api.admin.post(keys, json=pair)
    assert (again.status_code, again.json()["error"]) == (409, "LangfuseConflictError")


@pytest.mark.parametrize("given", ["publicKey", "secretKey"])
async def test_a_project_cannot_find_out_which_public_keys_exist(api: Api, given: str) -> None:
    key = new_api_key(
        key_id="a", project_id=PROJECT, public_key="pk-a", secret="s",
        created_us=NOON_US, scopes=["admin"],
    )  # fmt: skip
    api.control.keep(key)
    keys, auth = f"{PROJECTS}/{PROJECT}/apiKeys", ("pk-a", "s")
    free = {"publicKey": "pk-lf-9876543210", "secretKey": "sk-lf-0123456789abcdef"}
    taken = free | {"publicKey": "pk-lf-0123456789"}
    await created(api, f"{PROJECTS}/{OTHER}/apiKeys", taken)
    answers = [
        await api.anonymous.post(keys, json=body, auth=auth)
        for body in (free, taken, {given: free[given]}, {given: taken[given]})
    ]
    assert [each.status_code for each in answers] == [400] * 4
    assert answers[0].text == answers[1].text
    assert answers[2].text == answers[3].text
    (issue,) = answers[2].json()["error"]
    assert issue["path"] == [given]
    assert "only the installation's admin key" in issue["message"]
    assert (await api.anonymous.post(keys, json={"note": "n"}, auth=auth)).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("", {}, "name"),
        ("", {"name": "x", "retention": 30}, "retention"),
        ("", {"name": "x", "metadata": "m"}, "metadata"),
        (f"/{PROJECT}/apiKeys", {"publicKey": "pk-lf-0123456789"}, "secretKey"),
        (f"/{PROJECT}/apiKeys", {"secretKey": "sk-lf-0123456789abcdef"}, "publicKey"),
        (f"/{PROJECT}/apiKeys", {"publicKey": "x", "secretKey": "sk-lf-0123456789abcdef"},
            "publicKey"),
        (f"/{PROJECT}/apiKeys", {"publicKey": "pk-a:b-0123456789", "secretKey": "sk-" + "x" * 20},
            "publicKey"),
    ],
)  # fmt: skip
async def test_what_cannot_be_made_names_the_field(
    api: Api, path: str, body: dict[str, Any], field: str
) -> None:
    refused = await api.admin.post(f"{PROJECTS}{path}", json=body)
    assert (refused.status_code, refused.json()["message"]) == (400, "Invalid request data")
    assert refused.json()["error"][0]["path"] == [field]


async def test_a_name_that_is_taken_is_a_conflict(api: Api) -> None:
    refused = await api.admin.post(PROJECTS, json={"name": PROJECT.title()})
    assert refused.status_code == 409
    assert PROJECT.title() in refused.json()["message"]


async def test_an_admin_of_a_project_sees_no_other_one(api: Api) -> None:
    key = new_api_key(
        key_id="a", project_id=PROJECT, public_key="pk-a", secret="s",
        created_us=NOON_US, scopes=["admin"],
    )  # fmt: skip
    api.control.keep(key)
    auth = httpx.BasicAuth("pk-a", "s")
    assert (await api.anonymous.get(f"{PROJECTS}/{PROJECT}/apiKeys", auth=auth)).status_code == 200
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"/key-{OTHER}")):
        answers = [
            await api.anonymous.request(
                method, f"{PROJECTS}/{project}/apiKeys{path}", json={}, auth=auth
            )
            for project in (OTHER, "glibex")
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].text.replace(OTHER, "glibex") == answers[1].text.replace(OTHER, "glibex")
    assert (await api.anonymous.delete(f"{PROJECTS}/{PROJECT}", auth=auth)).status_code == 403
