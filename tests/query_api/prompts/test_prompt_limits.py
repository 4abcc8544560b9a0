"""Limits of prompts and of projects."""

from __future__ import annotations

from producers.control.kinds.prompt import Prompt
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, PROJECT, Api, opened
from tests.query_api.prompts.requests import PROMPTS, create, refused


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
