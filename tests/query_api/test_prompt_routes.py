"""Prompts through the routes of Langfuse, on a control plane in memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from producers.control.keys import new_api_key
from producers.control.kinds.prompt import Prompt
from producers.control.kinds.prompt_change import PromptChange
from producers.control.kinds.prompt_version import PromptVersion
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, PROJECT, Api, Kept, opened

PROMPTS = "/api/public/v2/prompts"


@pytest.fixture
async def api(clickhouse_url: str, kept: Kept) -> AsyncIterator[Api]:
    """The query API; prompts need no store."""
    async with opened(clickhouse_url, "no_store_is_needed") as api:
        yield api


async def create(api: Api, name: str = "greet", prompt: Any = "Hello", **fields: Any) -> Any:
    response = await api.client.post(PROMPTS, json={"name": name, "prompt": prompt, **fields})
    assert response.status_code == 201, response.text
    return response.json()


async def get(api: Api, name: str = "greet", **params: Any) -> Any:
    response = await api.client.get(f"{PROMPTS}/{name}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    return response.text


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


async def test_labels_move_and_are_on_one_version(api: Api) -> None:
    await create(api, labels=["production", "a"])
    await create(api, labels=["a"])
    assert (await get(api))["labels"] == ["production"]
    assert (await get(api, label="latest"))["labels"] == ["a", "latest"]
    moved = await api.client.patch(
        f"{PROMPTS}/greet/versions/2", json={"newLabels": ["production"]}
    )
    assert sorted(moved.json()["labels"]) == ["a", "latest", "production"]
    assert (await get(api))["version"] == 2
    assert (await get(api, version=1))["labels"] == []


async def test_labels_of_a_version_are_kept_when_others_are_added(api: Api) -> None:
    await create(api, labels=["production"])
    await api.client.patch(f"{PROMPTS}/greet/versions/1", json={"newLabels": ["john", "doe"]})
    assert sorted((await get(api))["labels"]) == ["doe", "john", "latest", "production"]


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


async def test_the_label_latest_cannot_be_moved(api: Api) -> None:
    await create(api)
    await create(api)
    response = await api.client.patch(f"{PROMPTS}/greet/versions/1", json={"newLabels": ["latest"]})
    assert "always assigned to the latest prompt version" in refused(response, 400)


async def test_the_type_of_a_prompt_cannot_change(api: Api) -> None:
    await create(api)
    body = {"name": "greet", "prompt": [{"role": "user", "content": "x"}], "type": "chat"}
    assert "different prompt type" in refused(await api.client.post(PROMPTS, json=body), 400)


async def test_references_are_resolved_unless_that_is_switched_off(api: Api) -> None:
    await create(api, "rules", "Be kind.", labels=["production"])
    tag = "@@@langfusePrompt:name=rules|label=production@@@"
    await create(api, "main", [{"role": "system", "content": f"{tag} {{{{x}}}}"}], type="chat")
    resolved = await get(api, "main", version=1)
    assert resolved["prompt"] == [{"role": "system", "content": "Be kind. {{x}}"}]
    graph = resolved["resolutionGraph"]
    assert graph["root"]["name"] == "main"
    assert [each["name"] for each in graph["dependencies"][graph["root"]["id"]]] == ["rules"]
    raw = await get(api, "main", version=1, resolve="false")
    assert raw["prompt"][0]["content"] == f"{tag} {{{{x}}}}"
    assert raw["resolutionGraph"] is None


async def test_circular_and_deep_references_are_refused_also_when_a_label_moves(api: Api) -> None:
    def tag(name: str, label: str = "production") -> str:
        return f"@@@langfusePrompt:name={name}|label={label}@@@"

    await create(api, "a", "end", labels=["production"])
    await create(api, "b", tag("a"), labels=["production"])
    circular = {"name": "a", "prompt": tag("b"), "labels": ["production"]}
    assert "Circular dependency" in refused(await api.client.post(PROMPTS, json=circular), 400)
    await create(api, "c", "end", labels=["production"])
    await create(api, "d", tag("c"), labels=["production"])
    await create(api, "e", "end", labels=["x"])
    await create(api, "c", tag("e", "x"), labels=["production"])
    body = {"name": "e", "prompt": tag("d"), "labels": ["x"]}
    assert "Circular dependency" in refused(await api.client.post(PROMPTS, json=body), 400)
    previous = "a"
    for name in ("n1", "n2", "n3", "n4"):
        await create(api, name, tag(previous), labels=["production"])
        previous = name
    deep = {"name": "n5", "prompt": tag("n4")}
    assert "nesting depth" in refused(await api.client.post(PROMPTS, json=deep), 400)


async def test_a_prompt_that_others_include_cannot_be_deleted(api: Api) -> None:
    await create(api, "rules", "Be kind.", labels=["production"])
    await create(api, "main", "@@@langfusePrompt:name=rules|version=1@@@")
    assert "depending on" in refused(await api.client.delete(f"{PROMPTS}/rules"), 400)
    await api.client.delete(f"{PROMPTS}/main")
    assert (await api.client.delete(f"{PROMPTS}/rules")).status_code == 204


async def test_protected_labels_need_the_scope_admin(api: Api) -> None:
    key = new_api_key(
        key_id="admin", project_id=PROJECT, public_key="pk-admin", secret="sk-admin",
        created_us=NOON_US, scopes=("read", "write", "admin"),
    )  # fmt: skip
    api.control.keep(key)
    admin = ("pk-admin", "sk-admin")
    await create(api, labels=["production"])
    await create(api)
    protected = {"labels": ["production"]}
    refused(await api.client.put("/v1/protected-labels", json=protected), 403)
    written = await api.client.put("/v1/protected-labels", json=protected, auth=admin)
    assert written.json() == protected
    assert (await api.client.get("/v1/protected-labels")).json() == protected
    move = {"newLabels": ["production"]}
    refused(await api.client.patch(f"{PROMPTS}/greet/versions/2", json=move), 403)
    body = {"name": "greet", "prompt": "x", "labels": ["production"]}
    assert "admin" in refused(await api.client.post(PROMPTS, json=body), 403)
    refused(await api.client.delete(f"{PROMPTS}/greet"), 403)
    unchanged = await api.client.patch(f"{PROMPTS}/greet/versions/1", json=move)
    assert unchanged.status_code == 200
    moved = await api.client.patch(f"{PROMPTS}/greet/versions/2", json=move, auth=admin)
    assert "production" in moved.json()["labels"]


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


async def test_traffic_is_split_over_labels_and_keys_keep_their_version(api: Api) -> None:
    await create(api, "f/greet", labels=["a"])
    await create(api, "f/greet", labels=["b"])
    refused(await api.client.get("/v1/prompts/f/greet/assign", params={"key": "u"}), 404)
    split = "/v1/prompts/f%2Fgreet/split"
    unknown = await api.client.put(split, json={"weights": {"c": 1}})
    assert "'c'" in refused(unknown, 422)
    assert "positive" in refused(await api.client.put(split, json={"weights": {"a": 0}}), 422)

    async def assigned(weights: dict[str, float]) -> dict[str, str]:
        response = await api.client.put(split, json={"weights": weights})
        total = sum(weights.values())
        shares = {each: weight / total for each, weight in weights.items() if weight}
        assert response.json() == {"name": "f/greet", "shares": shares}
        found = {}
        for key in map(str, range(60)):
            one = (await api.client.get("/v1/prompts/f/greet/assign", params={"key": key})).json()
            assert one["version"] == {"a": 1, "b": 2}[one["label"]]
            assert one["metadata"] == {"prompt_label.f/greet": one["label"]}
            found[key] = one["label"]
        return found

    even = await assigned({"a": 1, "b": 1})
    assert set(even.values()) == {"a", "b"}
    more = await assigned({"a": 3, "b": 1})
    assert all(more[key] == "a" for key in even if even[key] == "a")
    assert (await api.client.get(split)).json()["shares"] == {"a": 0.75, "b": 0.25}


async def test_labels_of_a_split_cannot_be_lost_and_others_are_removed(api: Api) -> None:
    await create(api, labels=["a", "b"])
    await create(api)
    await api.client.put("/v1/prompts/greet/split", json={"weights": {"a": 1}})
    lost = await api.client.delete("/v1/prompts/greet/labels/a")
    assert "change the split first" in refused(lost, 422)
    refused(await api.client.delete(f"{PROMPTS}/greet", params={"version": 1}), 400)
    assert (await api.client.delete("/v1/prompts/greet/labels/b")).status_code == 204
    refused(await api.client.delete("/v1/prompts/greet/labels/b"), 404)
    refused(await api.client.delete("/v1/prompts/greet/labels/latest"), 422)
    assert (await get(api, version=1))["labels"] == ["a"]
    cleared = await api.client.put("/v1/prompts/greet/split", json={"weights": {}})
    assert cleared.json()["shares"] == {}
    assert (await api.client.delete(f"{PROMPTS}/greet", params={"version": 1})).status_code == 204


async def test_the_limits_of_a_prompt_are_conflicts_that_name_them(api: Api) -> None:
    for first in range(0, 199, 50):
        labels = [f"l{number}" for number in range(first, min(first + 50, 199))]
        await create(api, labels=labels)
    body = {"name": "greet", "prompt": "x", "labels": ["one-more"]}
    assert "at most 200 labels" in refused(await api.client.post(PROMPTS, json=body), 409)
    move = await api.client.patch(f"{PROMPTS}/greet/versions/1", json={"newLabels": ["other"]})
    assert "at most 200 labels" in refused(move, 409)
    prompt = next(iter(api.control.view.in_project(Prompt, PROJECT).values()))
    full = {"versions": dict.fromkeys(range(1, 1_001), NOON_US), "last_version": 1_000}
    api.control.keep(prompt.model_copy(update=full))
    response = await api.client.post(PROMPTS, json={"name": "greet", "prompt": "x"})
    assert "at most 1000 versions" in refused(response, 409)


async def test_the_limits_of_a_project_are_conflicts_that_name_them(
    clickhouse_url: str,
) -> None:
    settings = QuerySettings(
        prompts_per_project_max=2,
        prompt_versions_per_project_max=3,
        prompts_of_project_max_bytes=2_000,
        prompt_resolved_max_chars=1_024,
    )
    async with opened(clickhouse_url, "no_store_is_needed", settings) as api:
        await create(api, "a", "x" * 900, labels=["production"])
        twice = {"name": "b", "prompt": "@@@langfusePrompt:name=a|version=1@@@" * 2}
        assert "longer than 1024" in refused(await api.client.post(PROMPTS, json=twice), 400)
        large = {"name": "b", "prompt": "x" * 1_200}
        assert "at most 2000 bytes" in refused(await api.client.post(PROMPTS, json=large), 409)
        await create(api, "b", "x")
        third = {"name": "c", "prompt": "x"}
        assert "at most 2 prompts" in refused(await api.client.post(PROMPTS, json=third), 409)
        await create(api, "b", "x")
        more = {"name": "b", "prompt": "x"}
        assert "at most 3 prompt versions" in refused(
            await api.client.post(PROMPTS, json=more), 409
        )
