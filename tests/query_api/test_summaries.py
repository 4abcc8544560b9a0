"""Observations that repeat the usage of their descendants are shown as such and summed once."""

from __future__ import annotations

from typing import Any

from tests.query_api.harness import NOON_US, Api, observation, trace


def call(id_: str, parent_id: str, tokens: int, **fields: Any) -> Any:
    return observation(
        "t1",
        id_,
        NOON_US,
        end_us=NOON_US + 1_000,
        parent_id=parent_id,
        usage={"input": tokens, "total": tokens},
        total_cost_pico=tokens * 10**6,
        cost_source="computed",
        **fields,
    )


async def stored(api: Api) -> None:
    counted = {"input": 50, "total": 50, "cost_pico": 50 * 10**6}
    await api.insert(
        call("agent", "", 150, type="AGENT"),
        call("step", "agent", 100, type="CHAIN"),
        call("model", "step", 100, type="GENERATION"),
        observation("t1", "tool", NOON_US, parent_id="agent"),
        trace("t1", summaries={"agent": counted, "step": {}}, total_cost_pico=150 * 10**6),
    )


ROLES = {"agent": "summary", "step": "summary", "model": None, "tool": None}


async def test_every_list_of_observations_marks_summaries_and_shows_what_they_report(
    api: Api,
) -> None:
    await stored(api)
    first = (await api.client.get("/api/public/observations")).json()["data"]
    second = (await api.client.get("/api/public/v2/observations?fields=usage")).json()["data"]
    of_trace = (await api.client.get("/api/public/traces/t1")).json()["observations"]
    for observations in (first, second, of_trace):
        assert {each["id"]: each["usageRole"] for each in observations} == ROLES
        by_id = {each["id"]: each for each in observations}
        assert by_id["step"]["usageDetails"] == {"input": 100, "total": 100}
        assert by_id["step"]["costDetails"] == {"total": 0.0001}
    one = (await api.client.get("/api/public/observations/agent")).json()
    assert one["usageRole"] == "summary"


async def test_the_call_tree_adds_what_summaries_count_themselves(api: Api) -> None:
    await stored(api)
    root = (await api.client.get("/v1/traces/t1/tree")).json()["root"]
    (agent,) = root["children"]
    (step,) = (each for each in agent["children"] if each["id"] == "step")
    (model,) = step["children"]
    assert [each["usage_role"] for each in (agent, step, model)] == ["summary", "summary", None]
    assert [each["self_cost_usd"] for each in (agent, step, model)] == [
        "0.00015",
        "0.0001",
        "0.0001",
    ]
    assert [each["total_cost_usd"] for each in (root, agent, step, model)] == [
        "0.00015",
        "0.00015",
        "0.0001",
        "0.0001",
    ]
    assert root["total_tokens"] == {"input": 150, "total": 150}
