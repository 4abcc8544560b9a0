"""Observations are found by parameters, filters and their place in the trace."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from clickhouse.rows import ENTRY
from query_api.times import iso
from tests.query_api.harness import NOON_US, Api, Kept, observation, opened, trace
from tracemill.clock import now_us

SECOND_US = 1_000_000


@pytest.fixture(scope="module")
def stored_traces(kept: Kept) -> str:
    """Trace a of user u1 has root r1 and a child; trace b of u2 an app root with another parent."""
    return kept(
        [
            trace("a", user_id="u1", session_id="s1", name="first", tags=("x", "y"), release="one"),
            trace("b", user_id="u2", session_id="s2", name="second", tags=("y",)),
            observation("a", "r1", NOON_US, end_us=NOON_US + 4 * SECOND_US, name="root",
                environment="e1"),
            observation(
                "a", "g1", NOON_US + SECOND_US, end_us=NOON_US + 3 * SECOND_US, type="GENERATION",
                parent_id="r1",
                completion_start_us=NOON_US + 2 * SECOND_US, name="call", model="gpt-4o",
                level="ERROR", version="2",
                usage={"input": 10, "output": 4}, cost_pico={"input": 10**9, "output": 2 * 10**9},
                total_cost_pico=3 * 10**9, input="the quick Brown fox", output="100% sure_thing",
                metadata='{"tier":"gold"}', prompt_name="p", prompt_version=2,
                status_message="it broke",
            ),
            observation("b", "r2", NOON_US + 5 * SECOND_US, parent_id="elsewhere", app_root=ENTRY,
                type="AGENT", name="agent"),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two_traces(clickhouse_url: str, stored_traces: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_traces) as api:
        yield api


async def ids(api: Api, path: str, **params: object) -> list[str]:
    answer = await api.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/api/public/observations", "/api/public/v2/observations"])
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["r2", "g1", "r1"]),
        ({"name": "call"}, ["g1"]),
        ({"userId": "u1"}, ["g1", "r1"]),
        ({"type": "generation"}, ["g1"]),
        ({"traceId": "b"}, ["r2"]),
        ({"level": "ERROR"}, ["g1"]),
        ({"parentObservationId": "r1"}, ["g1"]),
        ({"environment": "e1"}, ["r1"]),
        ({"version": "2"}, ["g1"]),
        ({"fromStartTime": "2026-11-21T12:00:01Z"}, ["r2", "g1"]),
        ({"toStartTime": "2026-11-21T12:00:01Z"}, ["r1"]),
        ({"userId": "u1", "name": "root"}, ["r1"]),
        ({"userId": "nobody"}, []),
    ],
)
async def test_observations_are_narrowed_down(
    two_traces: Api, path: str, params: dict[str, str], expected: list[str]
) -> None:
    assert await ids(two_traces, path, **params) == expected


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"sessionId": "s2"}, ["r2"]),
        ({"isRootObservation": "true"}, ["r2", "r1"]),
        ({"isRootObservation": "false"}, ["g1"]),
        ({"parentObservationId": ""}, ["r1"]),
    ],
)
async def test_the_second_version_narrows_further(
    two_traces: Api, params: dict[str, str], expected: list[str]
) -> None:
    assert await ids(two_traces, "/api/public/v2/observations", **params) == expected


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "string", "column": "type", "operator": "=", "value": "GENERATION"}, ["g1"]),
        ({"type": "number", "column": "latency", "operator": ">=", "value": 2}, ["g1", "r1"]),
        ({"type": "number", "column": "timeToFirstToken", "operator": "=", "value": 1}, ["g1"]),
        ({"type": "number", "column": "tokensPerSecond", "operator": "=", "value": 2}, ["g1"]),
        ({"type": "number", "column": "inputTokens", "operator": ">", "value": 9}, ["g1"]),
        ({"type": "number", "column": "tokens", "operator": "=", "value": 14}, ["g1"]),
        ({"type": "number", "column": "inputCost", "operator": "=", "value": 0.001}, ["g1"]),
        ({"type": "number", "column": "outputCost", "operator": ">", "value": "0.0019"}, ["g1"]),
        ({"type": "number", "column": "totalCost", "operator": "<=", "value": 0}, ["r2", "r1"]),
        ({"type": "number", "column": "promptVersion", "operator": "=", "value": 2}, ["g1"]),
        ({"type": "string", "column": "input", "operator": "matches", "value": "BROWN"}, ["g1"]),
        ({"type": "string", "column": "input", "operator": "contains", "value": "BROWN"}, []),
        ({"type": "string", "column": "output", "operator": "contains", "value": "% sure_"},
            ["g1"]),
        ({"type": "string", "column": "statusMessage", "operator": "ends with", "value": "broke"},
            ["g1"]),
        ({"type": "stringObject", "column": "metadata", "key": "tier", "operator": "=",
            "value": "gold"}, ["g1"]),
        ({"type": "boolean", "column": "isRootObservation", "operator": "<>", "value": True},
            ["g1"]),
        ({"type": "arrayOptions", "column": "tags", "operator": "all of", "value": ["x", "y"]},
            ["g1", "r1"]),
        ({"type": "arrayOptions", "column": "traceTags", "operator": "none of", "value": ["x"]},
            ["r2"]),
        ({"type": "string", "column": "traceName", "operator": "=", "value": "second"}, ["r2"]),
        ({"type": "stringOptions", "column": "sessionId", "operator": "none of", "value": ["s1"]},
            ["r2"]),
        ({"type": "null", "column": "parentObservationId", "operator": "is null"}, ["r1"]),
        ({"type": "null", "column": "endTime", "operator": "is null"}, ["r2"]),
        ({"type": "null", "column": "latency", "operator": "is null"}, ["r2"]),
        ({"type": "datetime", "column": "endTime", "operator": ">",
            "value": "2026-11-21T12:00:03.5Z"}, ["r1"]),
        ({"type": "datetime", "column": "endTime", "operator": "<",
            "value": "2026-11-21T12:00:03.5Z"}, ["g1"]),
        ({"type": "datetime", "column": "completionStartTime", "operator": "<=",
            "value": "2026-11-21T12:00:02Z"}, ["g1"]),
        ({"type": "boolean", "column": "hasParentObservation", "operator": "=", "value": True},
            ["r2", "g1"]),
    ],
)  # fmt: skip
async def test_the_filter_grammar_narrows_observations_down(
    two_traces: Api, entry: dict[str, object], expected: list[str]
) -> None:
    for path in ("/api/public/observations", "/api/public/v2/observations"):
        assert await ids(two_traces, path, filter=json.dumps([entry])) == expected


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("place", "others", "expected"),
    [
        ({"key": "root"}, [], ["r2", "r1"]),
        ({"key": "first"}, [], ["r2", "r1"]),
        ({"key": "last"}, [], ["r2", "g1"]),
        ({"key": "nthFromStart", "value": 2}, [], ["g1"]),
        ({"key": "nthFromEnd", "value": 2}, [], ["r1"]),
        ({"key": "nthFromStart", "value": 3}, [], []),
        # Among all observations of the trace, not among those that meet the rest.
        ({"key": "first"}, [{"type": "string", "column": "name", "operator": "=", "value": "call"}],
            []),
        ({"key": "last"}, [{"type": "string", "column": "name", "operator": "=", "value": "call"}],
            ["g1"]),
        ({"key": "last"},
            [{"type": "string", "column": "input", "operator": "matches", "value": "BROWN"}],
            ["g1"]),
        ({"key": "first"},
            [{"type": "string", "column": "traceName", "operator": "=", "value": "second"}],
            ["r2"]),
    ],
)  # fmt: skip
async def test_observations_are_found_by_their_place_in_the_trace(
    two_traces: Api, place: dict[str, object], others: list[object], expected: list[str]
) -> None:
    entry = {"type": "positionInTrace", "column": "positionInTrace", "operator": "=", **place}
    for path in ("/api/public/observations", "/api/public/v2/observations"):
        assert await ids(two_traces, path, filter=json.dumps([entry, *others])) == expected


async def test_a_place_in_the_trace_is_that_of_the_newest_versions(api: Api) -> None:
    began = now_us() - 60 * SECOND_US
    rows = [observation("t", f"o{n}", began + n * SECOND_US) for n in range(4)]
    await api.insert(trace("t", began), *rows)
    await api.insert(observation("t", "o0", began + 9 * SECOND_US, row_version=9))
    entry = {"type": "positionInTrace", "column": "positionInTrace", "operator": "=", "key": "last"}
    assert await ids(api, "/api/public/observations", filter=json.dumps([entry])) == ["o0"]


async def test_the_newest_page_is_complete_however_old_its_rows_are(api: Api) -> None:
    """Minutes, hours and days ago, and a little ahead of our clock."""
    now = now_us()
    ages_s = [-90, 1, 30, 599, 601, 7_000, 80_000, 90_000, 400_000, 40_000_000]
    await api.insert(
        *(trace(f"t{age}", now - age * SECOND_US) for age in ages_s),
        *(observation(f"t{age}", f"t{age}", now - age * SECOND_US) for age in ages_s),
    )
    expected = [f"t{age}" for age in ages_s]
    for limit in (1, 3, 5, 7, 10):
        for path in ("/api/public/traces", "/api/public/observations"):
            for page in (1, 2):
                found = await ids(api, path, limit=limit, page=page)
                assert found == expected[(page - 1) * limit : page * limit]
        assert await ids(api, "/api/public/v2/observations", limit=limit) == expected[:limit]
    hours_ago = iso(now - 8_000 * SECOND_US)
    assert await ids(api, "/api/public/observations", fromStartTime=hours_ago) == expected[:6]
    assert (
        await ids(api, "/api/public/observations", toStartTime=hours_ago, limit=2) == expected[6:8]
    )
