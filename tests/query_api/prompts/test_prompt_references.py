"""Prompts include others."""

from __future__ import annotations

from tests.query_api.harness import Api
from tests.query_api.prompts.requests import PROMPTS, create, get, refused


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
