"""Labels of prompts are moved, protected, and split among traffic."""

from __future__ import annotations

from producers.control.keys import new_api_key
from tests.query_api.harness import NOON_US, PROJECT, Api
from tests.query_api.prompts.requests import PROMPTS, create, get, refused


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


async def test_the_label_latest_cannot_be_moved(api: Api) -> None:
    await create(api)
    await create(api)
    response = await api.client.patch(f"{PROMPTS}/greet/versions/1", json={"newLabels": ["latest"]})
    assert "always assigned to the latest prompt version" in refused(response, 400)


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
