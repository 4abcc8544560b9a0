"""Prompts are created, read, listed and deleted through the routes of Langfuse."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from producers.control.kinds.prompt import Prompt
from producers.control.kinds.prompt_change import PromptChange
from producers.control.kinds.prompt_version import PromptVersion
from tests.query_api.harness import PROJECT, Api
from tests.query_api.prompts.requests import PROMPTS, create, get, refused


async def test_a_prompt_is_read_as_it_was_created(api: Api) -> None:
    text = "Hallo {{ name }}, {% if vip %}…{% endif %} {custom} $1 \\n 三月"
    fields = {"labels": ["production"], "tags": ["a", "b"], "config": {"temperature": 0.5}}
    created = await create(api, prompt=text, commitMessage="first", **fields)
    assert created == await get(api)
    assert created["prompt"] == text
    assert created["labels"] == ["production", "latest"]
    assert {key: created[key] for key in ("version", "type", "commitMessage", "isActive")} == {
        "version": 1, "type": "text", "commitMessage": "first", "isActive": True,
    }  # fmt: skip
    assert (created["tags"], created["config"]) == (["a", "b"], {"temperature": 0.5})


async def test_a_chat_prompt_keeps_messages_and_placeholders(api: Api) -> None:
    messages = [
        {"role": "system", "content": "You are {{name}}"},
        {"type": "placeholder", "name": "history"},
        {"type": "chatmessage", "role": "user", "content": "{{question}}", "extra": [1]},
    ]
    await create(api, prompt=messages, type="chat")
    assert (await get(api, version=1))["prompt"] == messages


@pytest.mark.parametrize(
    "encoded", ["folder/sub/greet", "folder%2Fsub%2Fgreet", "folder/sub%2Fgreet"]
)
async def test_names_in_folders_are_found_raw_and_encoded(api: Api, encoded: str) -> None:
    await create(api, "folder/sub/greet", labels=["production"])
    assert (await get(api, encoded))["name"] == "folder/sub/greet"
    patched = await api.client.patch(f"{PROMPTS}/{encoded}/versions/1", json={"newLabels": ["x"]})
    assert "x" in patched.json()["labels"]
    assert (await api.client.delete(f"{PROMPTS}/{encoded}")).status_code == 204


async def test_names_with_special_characters_are_found(api: Api) -> None:
    name = "special chars !@#$%^&*() +?ü/versions/x"
    await create(api, name, labels=["production"])
    assert (await get(api, quote(name, safe="")))["name"] == name


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "Prompt not found: 'nothing' with label 'production'"),
        ({"label": "x"}, "Prompt not found: 'nothing' with label 'x'"),
        ({"version": 3}, "Prompt not found: 'nothing' with version 3"),
    ],
)
async def test_what_does_not_exist_is_a_404_with_the_text_of_langfuse(
    api: Api, params: dict[str, Any], text: str
) -> None:
    response = await api.client.get(f"{PROMPTS}/nothing", params=params)
    assert (response.status_code, response.json()) == (
        404, {"message": text, "error": "LangfuseNotFoundError"},
    )  # fmt: skip


async def test_tags_are_the_same_on_all_versions_and_kept_without_others(api: Api) -> None:
    await create(api, tags=["one"])
    assert (await create(api))["tags"] == ["one"]
    await create(api, tags=[])
    assert [(await get(api, version=each))["tags"] for each in (1, 2, 3)] == [[], [], []]


async def test_a_list_has_each_prompt_with_the_versions_that_filters_select(api: Api) -> None:
    for label in ("production", "staging"):
        await create(api, "a", labels=[label], config={"of": label}, tags=["t"])
    await create(api, "b", [{"role": "user", "content": "x"}], type="chat")
    every = (await api.client.get(PROMPTS)).json()
    assert [(each["name"], each["versions"]) for each in every["data"]] == [
        ("a", [1, 2]),
        ("b", [1]),
    ]
    assert every["meta"] == every["pagination"] == {
        "page": 1, "limit": 10, "totalItems": 2, "totalPages": 1,
    }  # fmt: skip
    labelled = (await api.client.get(PROMPTS, params={"label": "production"})).json()["data"]
    assert [(each["versions"], each["lastConfig"]) for each in labelled] == [
        ([1], {"of": "production"})
    ]
    for params, names in (
        ({"name": "b"}, ["b"]), ({"tag": "t"}, ["a"]), ({"limit": 1, "page": 2}, ["b"]),
        ({"fromUpdatedAt": "2100-01-01T00:00:00Z"}, []),
        ({"toUpdatedAt": "2100-01-01T00:00:00Z"}, ["a", "b"]),
    ):  # fmt: skip
        found = (await api.client.get(PROMPTS, params=params)).json()["data"]
        assert [each["name"] for each in found] == names


async def test_concurrent_creations_get_different_versions(api: Api) -> None:
    created = await asyncio.gather(*(create(api, labels=["production"]) for _ in range(20)))
    assert sorted(each["version"] for each in created) == list(range(1, 21))
    labelled = [(await get(api, version=each))["labels"] for each in range(1, 21)]
    assert [labels for labels in labelled if labels] == [["production", "latest"]]


async def test_a_version_or_a_label_or_everything_is_deleted(api: Api) -> None:
    for label in ("a", "b", "c"):
        await create(api, labels=[label])
    assert (await api.client.delete(f"{PROMPTS}/greet", params={"version": 3})).status_code == 204
    assert (await get(api, label="latest"))["version"] == 2
    assert (await api.client.delete(f"{PROMPTS}/greet", params={"label": "a"})).status_code == 204
    assert (await create(api))["version"] == 4, "numbers are not used again"
    assert (await api.client.delete(f"{PROMPTS}/greet")).status_code == 204
    refused(await api.client.delete(f"{PROMPTS}/greet"), 404)
    view = api.control.view
    assert not view[Prompt]
    assert not view[PromptVersion]
    assert (await create(api))["version"] == 1


async def test_an_unchanged_prompt_is_a_304_and_a_moved_label_is_not(api: Api) -> None:
    await create(api, labels=["production"])
    first = await api.client.get(f"{PROMPTS}/greet")
    given = {"If-None-Match": f'"other", {first.headers["etag"]}'}
    again = await api.client.get(f"{PROMPTS}/greet", headers=given)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    await create(api, labels=["production"])
    assert (await api.client.get(f"{PROMPTS}/greet", headers=given)).json()["version"] == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": "x"}, "name"),
        ({"name": "a|b", "prompt": "x"}, "must not contain |"),
        ({"name": "new", "prompt": "x"}, "must not be 'new'"),
        ({"name": "<b>x</b>", "prompt": "x"}, "HTML"),
        ({"name": "/a", "prompt": "x"}, "folders"),
        ({"name": "a" * 256, "prompt": "x"}, "255"),
        ({"name": "a", "prompt": "x", "labels": ["A b"]}, "'A b' is not allowed; 1 to 36"),
        ({"name": "a", "prompt": 1}, "prompt: must be a string"),
        ({"name": "a", "prompt": "x", "type": "chat"}, "must be an array for type chat"),
        ({"name": "a", "prompt": [{"role": "user"}], "type": "chat"}, "prompt.0.content"),
        ({"name": "a", "prompt": [{"type": "placeholder", "name": "1"}]}, "prompt.0.name"),
        ({"name": "a", "prompt": "x", "labels": ["Production"]}, "labels"),
        ({"name": "a", "prompt": "x", "labels": ["a" * 37]}, "labels"),
        ({"name": "a", "prompt": "x" * 200_001}, "the maximum is 200000"),
        (
            {"name": "a", "prompt": [
                {"role": "user", "content": "{{x}}"}, {"type": "placeholder", "name": "x"},
            ]},
            "different names",
        ),
        ({"name": "a", "prompt": "@@@langfusePrompt:name=b|version=1@@@"}, "dependency not found"),
    ],
)  # fmt: skip
async def test_an_invalid_prompt_is_refused_with_the_field(
    api: Api, body: Any, message: str
) -> None:
    assert message in refused(await api.client.post(PROMPTS, json=body), 400)


async def test_the_type_of_a_prompt_cannot_change(api: Api) -> None:
    await create(api)
    body = {"name": "greet", "prompt": [{"role": "user", "content": "x"}], "type": "chat"}
    assert "different prompt type" in refused(await api.client.post(PROMPTS, json=body), 400)


async def test_the_routes_of_older_sdks_read_and_create_the_same_prompts(api: Api) -> None:
    old = "/api/public/prompts"
    body = {"name": "greet", "prompt": "Hi", "isActive": True, "config": None}
    created = await api.client.post(old, json=body)
    assert (created.status_code, created.json()["labels"]) == (201, ["production", "latest"])
    await create(api)
    found = (await api.client.get(old, params={"name": "greet"})).json()
    assert (found["version"], found["isActive"], found["config"]) == (1, True, {})
    newest = (await api.client.get(old, params={"name": "greet", "version": 2})).json()
    assert (newest["version"], newest["isActive"]) == (2, False)


async def test_prompts_of_other_projects_are_not_visible(api: Api) -> None:
    await create(api, labels=["production"])
    refused(await api.other.get(f"{PROMPTS}/greet"), 404)
    assert (await api.other.get(PROMPTS)).json()["data"] == []
    body = {"name": "greet", "prompt": "theirs", "labels": ["production"]}
    assert (await api.other.post(PROMPTS, json=body)).json()["version"] == 1
    refused(await api.other.patch(f"{PROMPTS}/greet/versions/2", json={"newLabels": ["x"]}), 404)
    assert (await api.other.delete(f"{PROMPTS}/greet")).status_code == 204
    assert (await get(api))["prompt"] == "Hello"


async def test_each_change_is_announced_once_with_the_versions_that_it_touched(api: Api) -> None:
    await create(api, labels=["production"], tags=["t"])
    await create(api, labels=["production"])
    await api.client.patch(f"{PROMPTS}/greet/versions/1", json={"newLabels": ["a"]})
    await api.client.patch(f"{PROMPTS}/greet/versions/1", json={"newLabels": ["a"]})
    await api.client.delete(f"{PROMPTS}/greet", params={"version": 2})
    changes = api.control.view.in_project(PromptChange, PROJECT).values()
    announced = [
        [(each.event, each.version, each.labels) for each in change.versions]
        for change in sorted(changes, key=lambda change: change.created_us)
    ]
    assert announced == [
        [("prompt.version_created", 1, ("production", "latest"))],
        [
            ("prompt.labels_changed", 1, ()),
            ("prompt.version_created", 2, ("production", "latest")),
        ],
        [("prompt.labels_changed", 1, ("a",))],
        [("prompt.deleted", 2, ("production", "latest"))],
    ]
