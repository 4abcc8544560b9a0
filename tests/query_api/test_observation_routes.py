import json
from typing import Any

import pytest

from tests.query_api.harness import NOON_US, PROJECT, Api, observation, trace

SECOND_US = 1_000_000


def generation() -> Any:
    return observation(
        "t1", "g1", NOON_US + 412_000, end_us=NOON_US + 1_842_000, type="GENERATION", name="call",
        parent_id="o1", completion_start_us=NOON_US + 733_000, model="gpt-4o", level="WARNING",
        status_message="slow", version="3", model_parameters='{"temperature":0.2}',
        usage={"input": 1000, "input_cached_tokens": 24, "output": 60,
            "output_reasoning_tokens": 7},
        cost_pico={"input": 2_500_000_000, "input_cached_tokens": 30_000_000,
            "output": 600_000_000},
        total_cost_pico=3_130_000_000, price_id="openai:gpt-4o",
        input='[{"role":"user","content":"hi"}]',
        output='{"role":"assistant"}',
        metadata=json.dumps({"short": "s", "long": "x" * 300, "list": [1] * 200}),
        prompt_name="answer", prompt_version=3, environment="production",
    )  # fmt: skip


async def test_an_observation_has_every_field_of_the_first_version(api: Api) -> None:
    await api.insert(generation())
    found = (await api.client.get("/api/public/observations/g1")).json()
    assert found.pop("createdAt") == found.pop("updatedAt")
    metadata = found.pop("metadata")
    assert (metadata["short"], len(metadata["long"]), metadata["list"]) == ("s", 300, [1] * 200)
    assert found == {
        "id": "g1", "projectId": PROJECT, "traceId": "t1", "parentObservationId": "o1",
        "name": "call",
        "type": "GENERATION", "environment": "production", "startTime": "2026-11-21T12:00:00.412Z",
        "endTime": "2026-11-21T12:00:01.842Z", "completionStartTime": "2026-11-21T12:00:00.733Z",
        "version": "3", "input": [{"role": "user", "content": "hi"}],
        "output": {"role": "assistant"},
        "toolDefinitions": {}, "toolCalls": [], "toolCallNames": [],
        "level": "WARNING", "statusMessage": "slow", "model": "gpt-4o",
        "modelParameters": {"temperature": 0.2}, "modelId": "openai:gpt-4o", "promptId": None,
        "promptName": "answer", "promptVersion": 3,
        "usageUncertain": None, "unpricedUsage": [], "serviceTier": None, "usageRole": None,
        "computedTotalCost": None,
        "usageDetails": {"input": 1000, "input_cached_tokens": 24, "output": 60,
            "output_reasoning_tokens": 7, "total": 1091},
        "costDetails": {"input": 0.0025, "input_cached_tokens": 0.00003, "output": 0.0006,
            "total": 0.00313},
        "usage": {"unit": "TOKENS", "input": 1024, "output": 67, "total": 1091},
        "unit": "TOKENS", "promptTokens": 1024, "completionTokens": 67, "totalTokens": 1091,
        "usagePricingTierId": None, "usagePricingTierName": None, "inputPrice": None,
        "outputPrice": None,
        "totalPrice": None, "calculatedInputCost": 0.00253, "calculatedOutputCost": 0.0006,
        "calculatedTotalCost": 0.00313, "latency": 1.43, "timeToFirstToken": 0.321,
        "userId": None, "sessionId": None,
    }  # fmt: skip
    missing = await api.client.get("/api/public/observations/nobody")
    assert (missing.status_code, missing.json()["error"]) == (404, "LangfuseNotFoundError")


async def test_the_second_version_answers_in_groups_of_fields(api: Api) -> None:
    await api.insert(
        generation(), trace("t1", name="answer", user_id="u1", session_id="s1", tags=("a",),
            release="r")
    )  # fmt: skip

    async def only(**params: str) -> dict[str, Any]:
        answer = (await api.client.get("/api/public/v2/observations", params=params)).json()
        assert answer["meta"] == {}
        return answer["data"][0]

    core = {"id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type"}
    assert set(await only(fields="core")) == core
    basic = await only()
    assert set(basic) - core == {
        "name", "level", "statusMessage", "version", "environment", "bookmarked", "public",
        "userId",
        "sessionId", "isRootObservation",
    }  # fmt: skip
    assert (basic["userId"], basic["isRootObservation"]) == ("u1", False)
    io = await only(fields="io")
    assert (io["input"], io["output"]) == (
        '[{"role":"user","content":"hi"}]',
        '{"role":"assistant"}',
    )
    metadata = (await only(fields="metadata"))["metadata"]
    assert (metadata["short"], len(metadata["long"])) == ("s", 200)
    assert metadata["list"] == json.dumps([1] * 200)[:200]
    expanded = (await only(fields="metadata", expandMetadata="long,list"))["metadata"]
    assert (len(expanded["long"]), expanded["list"]) == (300, [1] * 200)
    model = await only(fields="model")
    assert (model["model"], model["providedModelName"]) == ("gpt-4o", "gpt-4o")
    assert (model["internalModelId"], model["modelParameters"]) == (
        "openai:gpt-4o",
        {"temperature": 0.2},
    )
    usage = await only(fields="usage")
    assert (usage["totalCost"], usage["usageDetails"]["total"]) == (0.00313, 1091)
    assert (await only(fields="prompt"))["promptVersion"] == 3
    assert (await only(fields="metrics"))["latency"] == 1.43
    assert (await only(fields="time"))["completionStartTime"] == "2026-11-21T12:00:00.733Z"
    context = await only(fields="trace_context")
    assert (context["tags"], context["release"], context["traceName"]) == (["a"], "r", "answer")


async def test_a_given_cost_that_differs_is_shown_with_the_computed_one(api: Api) -> None:
    await api.insert(
        trace("t"),
        observation("t", "differs", cost_source="given", total_cost_pico=2 * 10**12,
            computed_cost_pico=10**12, price_id="p"),
        observation("t", "free", cost_source="given", total_cost_pico=10**12, price_id="p"),
        observation("t", "agrees", cost_source="given", total_cost_pico=10**12),
        observation("t", "computed", cost_source="computed", total_cost_pico=10**12, price_id="p"),
    )  # fmt: skip
    expected = {"differs": 1, "free": 0, "agrees": None, "computed": None}
    for identifier, cost in expected.items():
        found = (await api.client.get(f"/api/public/observations/{identifier}")).json()
        assert found["computedTotalCost"] == cost
    answer = await api.client.get("/api/public/v2/observations", params={"fields": "usage"})
    shown = {each["id"]: each["computedTotalCost"] for each in answer.json()["data"]}
    assert shown == expected
    tree = (await api.client.get("/v1/traces/t/tree")).json()["root"]["children"]
    assert {each["id"]: each["computed_cost_usd"] for each in tree} == {
        "differs": "1", "free": "0", "agrees": None, "computed": None,
    }  # fmt: skip


@pytest.mark.parametrize("cost_source", ["given", "computed"])
async def test_a_cost_of_zero_is_a_cost_and_an_unknown_one_is_none(
    api: Api, cost_source: str
) -> None:
    await api.insert(
        observation("t", "free", cost_source=cost_source, cost_pico={"input": 0}),
        observation("t", "nothing", cost_source=cost_source),
        observation("t", "unknown", cost_source="unpriced"),
    )

    async def shown(identifier: str) -> tuple[object, object]:
        found = (await api.client.get(f"/api/public/observations/{identifier}")).json()
        assert found["calculatedInputCost"] == found["calculatedTotalCost"]
        return found["calculatedTotalCost"], found["costDetails"]

    assert await shown("free") == (0, {"input": 0, "total": 0})
    assert await shown("nothing") == (0, {"total": 0})
    assert await shown("unknown") == (None, {})
    answer = await api.client.get("/api/public/v2/observations", params={"fields": "usage"})
    costs = {each["id"]: (each["totalCost"], each["costDetails"]) for each in answer.json()["data"]}
    assert costs == {
        "free": (0, {"input": 0, "total": 0}),
        "nothing": (0, {"total": 0}),
        "unknown": (None, {}),
    }


@pytest.mark.parametrize(
    ("usage", "unit", "counts"),
    [
        ({"input_characters": 1000, "output_characters": 20}, "CHARACTERS", (1000, 20, 1020)),
        ({"input_milliseconds": 7}, "MILLISECONDS", (7, 0, 7)),
        ({"output_images": 2, "total": 2}, "IMAGES", (0, 2, 2)),
        ({"requests": 3}, "REQUESTS", (0, 0, 3)),
        ({"input_seconds": 4, "output_seconds": 5}, "SECONDS", (4, 5, 9)),
        ({"input_cached_tokens": 3, "output": 1}, "TOKENS", (3, 1, 4)),
        ({"input": 3, "input_characters": 9}, "TOKENS", (12, 0, 12)),
        ({}, "TOKENS", (0, 0, 0)),
    ],
)
async def test_usage_has_a_unit(
    api: Api, usage: dict[str, int], unit: str, counts: tuple[int, int, int]
) -> None:
    await api.insert(observation("t", "o", usage=usage))
    found = (await api.client.get("/api/public/observations/o")).json()
    assert (found["unit"], found["usage"]["unit"]) == (unit, unit)
    assert (found["promptTokens"], found["completionTokens"], found["totalTokens"]) == counts
    if unit != "TOKENS":
        assert found["usageDetails"].keys() <= {"input", "output", "total"}


async def test_a_long_status_message_is_returned_whole(api: Api) -> None:
    message = "failed: " + "ü" * 3000
    await api.insert(trace("t", observation_count=1), observation("t", "o", status_message=message))
    second = (await api.client.get("/api/public/v2/observations")).json()["data"][0]
    tree = (await api.client.get("/v1/traces/t/tree")).json()
    without_io = (
        await api.client.get("/api/public/traces/t", params={"fields": "observations"})
    ).json()
    assert second["statusMessage"] == message
    assert tree["root"]["children"][0]["status_message"] == message
    assert without_io["observations"][0]["statusMessage"] == message


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"fields": "core,nonsense"}, "fields"),
        ({"parseIoAsJson": "true"}, "parseIoAsJson"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "not-one-of-ours"}, "cursor"),
        ({"cursor": "eyJsYXN0U3RhcnRUaW1lVXMiOjkyMjMzNzIwMzY4NTQ3NzU4MDcs"
            "Imxhc3RUcmFjZUlkIjoiIiwibGFzdElkIjoiIn0="}, "cursor"),
        ({"isRootObservation": "perhaps"}, "isRootObservation"),
        ({"fromStartTime": "2026-11-21T12:00:00"}, "fromStartTime"),
    ],
)  # fmt: skip
async def test_the_second_version_names_unsupported_parameters(
    refusing_api: Api, params: dict[str, str], field: str
) -> None:
    refused = await refusing_api.client.get("/api/public/v2/observations", params=params)
    assert (refused.status_code, refused.json()["message"]) == (400, "Invalid request data")
    assert refused.json()["error"][0]["path"] == [field]


async def test_cursors_visit_everything_once_also_where_times_are_equal(api: Api) -> None:
    await api.insert(
        *(
            observation(f"t{number % 3}", f"o{number:02}", NOON_US + number // 5)
            for number in range(23)
        )
    )
    seen, cursor = [], None
    while True:
        params = {"limit": 4, "fields": "core"} | ({"cursor": cursor} if cursor else {})
        answer = (await api.client.get("/api/public/v2/observations", params=params)).json()
        seen += [each["id"] for each in answer["data"]]
        cursor = answer["meta"].get("cursor")
        if cursor is None:
            break
        assert len(answer["data"]) == 4
    by_start_trace_id = sorted(
        ((number // 5, f"t{number % 3}", f"o{number:02}") for number in range(23)), reverse=True
    )
    assert seen == [identifier for _, _, identifier in by_start_trace_id]


@pytest.mark.parametrize(
    ("usage", "reported", "details", "legacy"),
    [
        (
            {"input": 10, "output": 20, "total": 30},
            '{"prompt_tokens":10,"completion_tokens":20}',
            {"prompt_tokens": 10, "completion_tokens": 20, "total": 30},
            {"unit": "TOKENS", "input": 10, "output": 20, "total": 30},
        ),
        (
            {"input_characters": 51, "output_characters": 0, "total": 51},
            '{"input":51,"output":0,"total":100}',
            {"input": 51, "output": 0, "total": 100},
            {"unit": "CHARACTERS", "input": 51, "output": 0, "total": 100},
        ),
        (
            {"input": 10, "output": 20, "total": 30},
            "{}",
            {"input": 10, "output": 20, "total": 30},
            {"unit": "TOKENS", "input": 10, "output": 20, "total": 30},
        ),
    ],
)
async def test_usage_is_shown_as_it_was_reported(
    api: Api,
    usage: dict[str, int],
    reported: str,
    details: dict[str, int],
    legacy: dict[str, Any],
) -> None:
    await api.insert(
        observation("t1", "o1", NOON_US, usage=usage, reported_usage=reported),
        trace("t1", NOON_US, usage=usage),
    )
    one = (await api.client.get("/api/public/observations/o1")).json()
    (of_trace,) = (await api.client.get("/api/public/traces/t1")).json()["observations"]
    (v2,) = (await api.client.get("/api/public/v2/observations?fields=core,usage")).json()["data"]
    assert (one["usageDetails"], one["usage"]) == (details, legacy)
    assert (of_trace["usageDetails"], of_trace["usage"]) == (details, legacy)
    assert v2["usageDetails"] == details
    assert one["totalTokens"] == legacy["total"]


async def test_a_first_token_outside_its_observation_is_shown_as_sent_and_not_measured(
    api: Api,
) -> None:
    await api.insert(
        observation(
            "t1",
            "o1",
            NOON_US,
            end_us=NOON_US + 5 * SECOND_US,
            type="GENERATION",
            sent_completion_start_us=NOON_US + 7 * SECOND_US,
        )
    )
    one = (await api.client.get("/api/public/observations/o1")).json()
    (listed,) = (await api.client.get("/api/public/v2/observations?fields=time,metrics")).json()[
        "data"
    ]
    for found in (one, listed):
        assert found["completionStartTime"] == "2026-11-21T12:00:07.000Z"
        assert found["timeToFirstToken"] is None
