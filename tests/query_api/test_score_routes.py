import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.query_api.harness import NOON_US, Api, Kept, opened, score, trace

SECOND_US = 1_000_000


@pytest.fixture(scope="module")
def stored_scores(kept: Kept) -> str:
    return kept(
        [
            trace("t1", user_id="u1", tags=("a",), environment="production", session_id="s1"),
            score("n", trace_id="t1", name="accuracy", value=0.75, comment="fine",
                metadata='{"by":"me"}'),
            score("b", NOON_US + SECOND_US, trace_id="t1", data_type="BOOLEAN", value=1.0,
                string_value="True"),
            score("c", NOON_US + 2 * SECOND_US, trace_id="t1", observation_id="o1",
                data_type="CATEGORICAL", string_value="good", source="EVAL"),
            score("s", NOON_US + 3 * SECOND_US, session_id="s1", value=2.0, environment="staging"),
            score("r", NOON_US + 4 * SECOND_US, dataset_run_id="run1", data_type="TEXT",
                string_value="well done"),
            score("x", NOON_US + 5 * SECOND_US, trace_id="t1", data_type="CORRECTION",
                name="output", string_value="better"),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scored(clickhouse_url: str, stored_scores: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_scores) as api:
        yield api


async def ids(api: Api, path: str, **params: object) -> str:
    answer = await api.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return "".join(each["id"] for each in answer.json()["data"])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "xrscbn"),
        ({"userId": "u1"}, "xcbn"),
        ({"name": "accuracy"}, "n"),
        ({"environment": "staging"}, "s"),
        ({"source": "EVAL"}, "c"),
        ({"dataType": "BOOLEAN"}, "b"),
        ({"scoreIds": "b, n"}, "bn"),
        ({"sessionId": "s1"}, "s"),
        ({"datasetRunId": "run1"}, "r"),
        ({"traceId": "t1", "observationId": "o1"}, "c"),
        ({"traceTags": "a"}, "xcbn"),
        ({"value": "1", "operator": ">="}, "sb"),
        ({"value": "0.75"}, "n"),
        ({"fromTimestamp": "2026-11-21T12:00:03Z"}, "xrs"),
        ({"toTimestamp": "2026-11-21T12:00:01Z"}, "n"),
        ({"filter": json.dumps([{"type": "string", "column": "stringValue", "operator": "=",
            "value": "good"}])}, "c"),
        ({"filter": json.dumps([{"type": "stringObject", "column": "metadata", "key": "by",
            "operator": "=", "value": "me"}])}, "n"),
        ({"filter": json.dumps([{"type": "boolean", "column": "booleanValue", "operator": "=",
            "value": True}])}, "b"),
        ({"filter": json.dumps([{"type": "boolean", "column": "booleanValue", "operator": "=",
            "value": False}])}, ""),
        ({"filter": json.dumps([{"type": "arrayOptions", "column": "tags", "operator": "any of",
            "value": ["a"]}])}, "xcbn"),
    ],
)  # fmt: skip
async def test_scores_are_narrowed_down(scored: Api, params: dict[str, str], expected: str) -> None:
    assert await ids(scored, "/api/public/v2/scores", **params) == expected
    of_traces = "".join(each for each in expected if each in "ncb")
    assert await ids(scored, "/api/public/scores", **params) == of_traces


@pytest.mark.asyncio(loop_scope="module")
async def test_a_score_shows_its_value_by_its_type(scored: Api) -> None:
    answer = (await scored.client.get("/api/public/v2/scores")).json()
    by_id = {each["id"]: each for each in answer["data"]}
    assert answer["meta"] == {"page": 1, "limit": 50, "totalItems": 6, "totalPages": 1}
    assert (by_id["n"]["value"], by_id["n"]["stringValue"]) == (0.75, None)
    assert (by_id["n"]["comment"], by_id["n"]["metadata"]) == ("fine", {"by": "me"})
    assert (by_id["b"]["value"], by_id["b"]["stringValue"]) == (1, "True")
    assert (by_id["c"]["value"], by_id["c"]["stringValue"]) == (0, "good")
    assert ("value" in by_id["r"], by_id["r"]["stringValue"]) == (False, "well done")
    assert (by_id["x"]["value"], by_id["x"]["stringValue"]) == (0, "better")
    assert by_id["n"]["trace"] == {
        "userId": "u1", "tags": ["a"], "environment": "production", "sessionId": "s1",
    }  # fmt: skip
    assert by_id["s"]["trace"] is None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_number_has_a_text_of_null_wherever_scores_are(scored: Api) -> None:
    """Clients of Langfuse fail without the key."""
    in_lists = [
        (await scored.client.get(path)).json()[key]
        for path, key in (
            ("/api/public/traces/t1", "scores"),
            ("/api/public/scores", "data"),
            ("/api/public/v2/scores", "data"),
        )
    ]
    alone = [(await scored.client.get(f"/api/public/{v}scores/n")).json() for v in ("", "v2/")]
    numbers = [each for found in (*in_lists, alone) for each in found if each["id"] == "n"]
    assert [each["stringValue"] for each in numbers] == [None] * 5


async def test_a_deleted_score_is_not_found(api: Api) -> None:
    await api.insert(score("gone", trace_id="t1"), score("kept", trace_id="t1"))
    await api.insert(score("gone", NOON_US + SECOND_US, row_version=2, is_deleted=1))
    assert await ids(api, "/api/public/v2/scores") == "kept"
    assert await ids(api, "/api/public/v3/scores") == "kept"
    assert (await api.client.get("/api/public/scores/gone")).status_code == 404


@pytest.mark.asyncio(loop_scope="module")
async def test_a_trace_names_and_shows_its_scores_without_corrections(scored: Api) -> None:
    """The models with which clients read traces have none, and would refuse the trace."""
    detail = (await scored.client.get("/api/public/traces/t1")).json()
    listed = (await scored.client.get("/api/public/traces")).json()["data"]
    assert {each["id"] for each in detail["scores"]} == {"n", "b", "c"} == set(listed[0]["scores"])


@pytest.mark.asyncio(loop_scope="module")
async def test_the_trace_of_scores_is_left_out_unless_its_fields_are_requested(
    scored: Api,
) -> None:
    for fields, has_trace in (("score", False), ("score,trace", True)):
        answer = await scored.client.get("/api/public/v2/scores", params={"fields": fields})
        assert all(("trace" in each) == has_trace for each in answer.json()["data"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_score_is_found_by_its_id(scored: Api) -> None:
    assert (await scored.client.get("/api/public/v2/scores/s")).json()["sessionId"] == "s1"
    assert (await scored.client.get("/api/public/scores/n")).json()["value"] == 0.75
    for path in ("/api/public/scores/s", "/api/public/scores/x", "/api/public/v2/scores/nobody"):
        missing = await scored.client.get(path)
        assert (missing.status_code, missing.json()["error"]) == (404, "LangfuseNotFoundError")
