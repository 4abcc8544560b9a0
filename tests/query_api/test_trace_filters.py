"""Lists of traces are narrowed down by parameters and filters, and come in pages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.query_api.harness import (
    NOON_US,
    Api,
    Kept,
    observation,
    opened,
    score,
    trace,
)

SECOND_US = 1_000_000


@pytest.fixture(scope="module")
def seven_traces(kept: Kept) -> str:
    costs = {"input": 10**12, "output": 2 * 10**12}
    of_traces = [
        observation("t1", "o1", level="WARNING", cost_pico=costs, total_cost_pico=3 * 10**12),
        observation("t1", "o2", level="WARNING"), observation("t2", "o3", level="DEBUG"),
        score("s1", trace_id="t1", name="right", value=0.5),
        score("s2", trace_id="t1", name="right", value=1.0, observation_id="o1"),
        score("s3", trace_id="t2", name="style", data_type="CATEGORICAL", string_value="good"),
        score("s4", trace_id="t3", name="kind", data_type="BOOLEAN", value=1.0),
        score("s5", trace_id="t4", name="kind", data_type="BOOLEAN", value=0.0),
    ]  # fmt: skip
    return kept([*of_traces, *(
        trace(
            f"t{number}", NOON_US + number * SECOND_US, name="even" if number % 2 == 0 else "odd",
            user_id=f"u{number % 3}", session_id=f"s{number}", release=f"r{number}",
            version=f"v{number}",
            tags=("all", f"n{number}"), environment=f"e{number % 2}",
            total_cost_pico=number * 10**9,
            end_us=NOON_US + number * 2 * SECOND_US, usage={"input": number, "output": 1},
            metadata=json.dumps({"n": number, "s": f"x{number}", "deep": {"er": f"y{number}"},
                "a.b": "dot", "flag": number == 3}),
        )
        for number in range(7)
    )])  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def many(clickhouse_url: str, seven_traces: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, seven_traces) as api:
        yield api


async def ids(api: Api, **params: object) -> list[str]:
    answer = await api.client.get("/api/public/traces", params=params)
    assert answer.status_code == 200, answer.text
    found = [each["id"] for each in answer.json()["data"]]
    assert answer.json()["meta"]["totalItems"] == len(found)
    return found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "6543210"),
        ({"userId": "u1"}, "41"),
        ({"name": "odd"}, "531"),
        ({"sessionId": "s3"}, "3"),
        ({"release": "r2"}, "2"),
        ({"version": "v2"}, "2"),
        ({"tags": ["all", "n4"]}, "4"),
        ({"tags[]": ["all", "n4"]}, "4"),
        ({"environment": ["e1", "e7"]}, "531"),
        ({"fromTimestamp": "2026-11-21T12:00:05Z"}, "65"),
        ({"fromTimestamp": "2026-11-21T13:00:05+01:00"}, "65"),
        ({"toTimestamp": "2026-11-21T12:00:01.000000Z"}, "0"),
        ({"orderBy": "timestamp.asc"}, "0123456"),
        ({"orderBy": "name.asc", "userId": "u0"}, "063"),
        ({"orderBy": "totalCost.desc", "name": "even"}, "6420"),
        ({"unheard": "of", "page": "", "limit": ""}, "6543210"),
    ],
)
async def test_traces_are_narrowed_down(many: Api, params: dict[str, str], expected: str) -> None:
    assert await ids(many, **params) == [f"t{number}" for number in expected]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "string", "column": "name", "operator": "starts with", "value": "ev"}, "6420"),
        ({"type": "string", "column": "id", "operator": "ends with", "value": "3"}, "3"),
        ({"type": "string", "column": "name", "operator": "contains", "value": "d"}, "531"),
        ({"type": "string", "column": "name", "operator": "does not contain", "value": "d"},
            "6420"),
        ({"type": "string", "column": "name", "operator": "matches", "value": "ODD"}, "531"),
        ({"type": "stringOptions", "column": "userId", "operator": "any of", "value": ["u1"]},
            "41"),
        ({"type": "stringOptions", "column": "userId", "operator": "none of",
            "value": ["u1", "u2"]}, "630"),
        ({"type": "arrayOptions", "column": "tags", "operator": "any of", "value": ["n1", "n2"]},
            "21"),
        ({"type": "arrayOptions", "column": "tags", "operator": "none of", "value": ["n1", "n2"]},
            "65430"),
        ({"type": "arrayOptions", "column": "tags", "operator": "all of", "value": ["all", "n2"]},
            "2"),
        ({"type": "number", "column": "totalCost", "operator": ">=", "value": 0.005}, "65"),
        ({"type": "number", "column": "totalCost", "operator": "=", "value": "0.005"}, "5"),
        ({"type": "number", "column": "latency", "operator": "<", "value": 2}, "10"),
        ({"type": "number", "column": "totalTokens", "operator": ">", "value": 6}, "6"),
        ({"type": "datetime", "column": "timestamp", "operator": ">",
            "value": "2026-11-21T12:00:05Z"}, "6"),
        ({"type": "boolean", "column": "public", "operator": "=", "value": True}, ""),
        ({"type": "boolean", "column": "bookmarked", "operator": "<>", "value": True}, "6543210"),
        ({"type": "null", "column": "userId", "operator": "is null"}, ""),
        ({"type": "null", "column": "sessionId", "operator": "is not null"}, "6543210"),
        ({"type": "stringObject", "column": "metadata", "key": "s", "operator": "=", "value": "x3"},
            "3"),
        ({"type": "stringObject", "column": "metadata", "key": "n", "operator": "=", "value": "3"},
            "3"),
        ({"type": "stringObject", "column": "metadata", "key": "deep.er", "operator": "ends with",
            "value": "4"}, "4"),
        ({"type": "stringObject", "column": "metadata", "key": "a.b", "operator": "=",
            "value": "dot"}, "6543210"),
        ({"type": "stringObject", "column": "metadata", "key": "none", "operator": "is set"}, ""),
        ({"type": "stringObject", "column": "metadata", "key": "deep.er", "operator": "is not set"},
            ""),
        ({"type": "numberObject", "column": "metadata", "key": "n", "operator": ">", "value": 4.5},
            "65"),
        ({"type": "booleanObject", "column": "metadata", "key": "flag", "operator": "=",
            "value": True}, "3"),
        ({"type": "categoryOptions", "column": "metadata", "key": "s", "operator": "any of",
            "value": ["x1", "x2"]}, "21"),
        ({"type": "stringObject", "column": "metadata", "key": "none", "operator": "contains",
            "value": ""}, ""),
        ({"type": "number", "column": "tokens", "operator": ">", "value": 6}, "6"),
        ({"type": "number", "column": "warningCount", "operator": ">=", "value": 2}, "1"),
        ({"type": "number", "column": "warningCount", "operator": "=", "value": 0}, "65432_0"),
        ({"type": "number", "column": "warningCount", "operator": "<", "value": 2}, "65432_0"),
        ({"type": "number", "column": "debugCount", "operator": "!=", "value": 0}, "2"),
        ({"type": "number", "column": "defaultCount", "operator": ">", "value": 0}, ""),
        ({"type": "number", "column": "inputCost", "operator": "=", "value": 1}, "1"),
        ({"type": "number", "column": "outputCost", "operator": ">", "value": 1.5}, "1"),
        ({"type": "number", "column": "outputCost", "operator": "<=", "value": 1}, "65432_0"),
        ({"type": "numberObject", "column": "scores_avg", "key": "right", "operator": "=",
            "value": 0.75}, "1"),
        ({"type": "numberObject", "column": "scores", "key": "right", "operator": "<",
            "value": 0.75}, ""),
        ({"type": "categoryOptions", "column": "score_categories", "key": "style",
            "operator": "any of", "value": ["good", "bad"]}, "2"),
        ({"type": "categoryOptions", "column": "score_categories", "key": "style",
            "operator": "none of", "value": ["good"]}, "6543_10"),
        ({"type": "booleanObject", "column": "score_booleans", "key": "kind", "operator": "=",
            "value": True}, "3"),
        ({"type": "booleanObject", "column": "score_booleans", "key": "kind", "operator": "<>",
            "value": True}, "654_210"),
    ],
)  # fmt: skip
async def test_the_filter_grammar_narrows_down(
    many: Api, entry: dict[str, object], expected: str
) -> None:
    numbers = expected.replace("_", "")
    assert await ids(many, filter=json.dumps([entry])) == [f"t{number}" for number in numbers]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_filter_takes_precedence_over_the_parameter_of_its_column(many: Api) -> None:
    entry = {"type": "string", "column": "name", "operator": "=", "value": "even"}
    assert await ids(many, filter=json.dumps([entry]), name="odd", userId="u0") == ["t6", "t0"]


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_follow_each_other_and_end(many: Api) -> None:
    seen = []
    for page in range(1, 5):
        answer = (
            await many.client.get("/api/public/traces", params={"page": page, "limit": 3})
        ).json()
        assert answer["meta"] == {"page": page, "limit": 3, "totalItems": 7, "totalPages": 3}
        seen += [each["id"] for each in answer["data"]]
    assert seen == [f"t{number}" for number in "6543210"]
