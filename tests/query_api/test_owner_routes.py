"""Sessions and users with their totals, scores and conversations."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.query_api.harness import NOON_US, PROJECT, Api, Kept, observation, opened, score, trace

SECOND_US = 1_000_000
PICO = 10**12


def turn(number: int, session: str, user: str, **fields: Any) -> Any:
    start_us = NOON_US + number * SECOND_US
    given = {
        "end_us": start_us + 500_000 * (number + 1),
        "session_id": session,
        "user_id": user,
        "observation_count": 2,
        "usage": {"input": 10 * number, "output": 1, "total": 10 * number + 1},
        "total_cost_pico": number * PICO,
        **fields,
    }
    return trace(f"t{number}", start_us, **given)


ROWS = [
    turn(0, "s/1", "ada", environment="production", input="hi", output="hello"),
    turn(1, "s/1", "bob", error_count=1, unpriced_count=3, root_observation_id="o1", tags=("vip",)),
    observation("t1", "o1", NOON_US + SECOND_US, input="again?", output='{"a":1}'),
    turn(2, "s2", "ada", environment="production"),
    turn(3, "", "cy"),
    turn(4, "s2", "ada", is_deleted=1),
    score("a", trace_id="t0", name="quality", value=0.5),
    score("b", trace_id="t1", observation_id="o1", name="quality", value=1.0),
    score("c", session_id="s/1", name="tone", data_type="CATEGORICAL", string_value="kind"),
    score("d", trace_id="t2", name="ok", data_type="BOOLEAN", value=1.0, string_value="True"),
    score("e", trace_id="t2", name="output", data_type="CORRECTION", string_value="better"),
]


@pytest.fixture(scope="module")
def stored(kept: Kept) -> str:
    return kept(ROWS)


@pytest.fixture
async def owned(clickhouse_url: str, stored: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored) as api:
        yield api


async def found(api: Api, path: str, **params: Any) -> Any:
    answer = await api.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids(api: Api, path: str, **params: Any) -> list[str]:
    return [each["id"] for each in (await found(api, path, **params))["data"]]


async def test_a_session_has_the_totals_and_scores_of_its_traces(owned: Api) -> None:
    (session,) = (await found(owned, "/v1/sessions", user_id="bob"))["data"]
    assert session["id"] == "s/1"
    assert session["traces"] == 1
    whole = (await found(owned, "/v1/sessions/s%2F1"))["session"]
    assert whole == {
        "id": "s/1",
        "user_ids": ["ada", "bob"],
        "users": 2,
        "traces": 2,
        "observations": 4,
        "errors": 1,
        "cost_usd": "1",
        "unpriced": 3,
        "tokens": {"input": 10, "output": 2, "total": 12},
        "latency_ms": {"mean": 750, "p50": whole["latency_ms"]["p50"], "p95": 1000, "max": 1000},
        "first_seen": "2026-11-21T12:00:00.000Z",
        "last_seen": "2026-11-21T12:00:02.000Z",
        "environments": ["default", "production"],
        "scores": {
            "quality": {"count": 2, "mean": 0.75, "values": {}},
            "tone": {"count": 1, "mean": None, "values": {"kind": 1}},
        },
    }


async def test_the_conversation_has_input_and_output_in_order_and_in_pages(owned: Api) -> None:
    first = await found(owned, "/v1/sessions/s/1", limit=1)
    assert first["meta"]["has_more"]
    second = await found(owned, "/v1/sessions/s/1", limit=1, cursor=first["meta"]["cursor"])
    assert second["meta"] == {"has_more": False, "cursor": None}
    turns = [*first["turns"], *second["turns"]]
    assert [each["unpriced"] for each in turns] == [0, 3]
    shown = [(each["trace_id"], each["input"], each["output"]) for each in turns]
    assert shown == [("t0", "hi", "hello"), ("t1", "again?", {"a": 1})]
    assert [(each["latency_ms"], each["cost_usd"]) for each in turns] == [(500, "0"), (1000, "1")]


async def test_a_user_has_the_totals_of_all_sessions(owned: Api) -> None:
    ada = await found(owned, "/v1/users/ada")
    assert (ada["sessions"], ada["traces"], ada["cost_usd"]) == (2, 2, "2")
    assert ada["scores"] == {
        "ok": {"count": 1, "mean": 1, "values": {"True": 1}},
        "quality": {"count": 1, "mean": 0.5, "values": {}},
    }
    totals = await found(owned, "/v1/users/ada/totals")
    assert (totals["traces"], totals["cost_usd"]) == (2, "2")


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("last_seen", ["cy", "ada", "bob"]),
        ("first_seen", ["cy", "bob", "ada"]),
        ("cost", ["cy", "ada", "bob"]),
        ("tokens", ["cy", "ada", "bob"]),
        ("traces", ["ada", "cy", "bob"]),
        ("observations", ["ada", "cy", "bob"]),
        ("errors", ["bob", "cy", "ada"]),
        ("latency", ["cy", "ada", "bob"]),
    ],
)
async def test_users_are_sorted_and_pages_continue(
    owned: Api, order_by: str, expected: list[str]
) -> None:
    assert await ids(owned, "/v1/users", order_by=order_by) == expected
    for order, listed in (("desc", expected), ("asc", expected[::-1])):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while len(seen) < len(expected):
            page = await found(
                owned, "/v1/users", order_by=order_by, order=order, limit=1, **cursor
            )
            seen += [each["id"] for each in page["data"]]
            cursor = {"cursor": page["meta"]["cursor"]}
        assert seen == listed
        assert not page["meta"]["has_more"]


async def test_filters_select_traces(owned: Api) -> None:
    assert await ids(owned, "/v1/users", environment="production") == ["ada"]
    assert await ids(owned, "/v1/users", session_id="s/1") == ["bob", "ada"]
    assert await ids(owned, "/v1/sessions", tag="vip") == ["s/1"]
    assert await ids(owned, "/v1/sessions", **{"from": "2026-11-21T12:00:02Z"}) == ["s2"]
    assert await ids(owned, "/v1/sessions", to="2026-11-21T12:00:00Z") == []


async def test_a_range_of_durations_stays_that_of_the_first_page(owned: Api) -> None:
    first = await found(owned, "/v1/users", **{"from": "-3000d", "limit": 2})
    later = {"from": "-1s", "limit": 2, "cursor": first["meta"]["cursor"]}
    assert await ids(owned, "/v1/users", **later) == ["bob"]


async def test_a_cursor_of_another_order_is_refused(owned: Api) -> None:
    page = await found(owned, "/v1/users", limit=1)
    params = {"cursor": page["meta"]["cursor"], "order_by": "cost"}
    answer = await owned.client.get("/v1/users", params=params)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("order_by", "value"),
    [("cost", "--1"), ("cost", "\u0661"), ("cost", "9" * 40), ("tokens", "1.5"),
     ("last_seen", str(2**63)), ("traces", "-"), ("traces", "")],
)  # fmt: skip
async def test_a_forged_cursor_is_refused(owned: Api, order_by: str, value: str) -> None:
    forged = json.dumps({"order_by": order_by, "value": value, "id": "ada"}).encode()
    params = {"cursor": base64.urlsafe_b64encode(forged).decode(), "order_by": order_by}
    answer = await owned.client.get("/v1/users", params=params)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "cursor")


async def test_sessions_have_the_shape_of_langfuse(owned: Api) -> None:
    path = "/api/public/sessions"
    page = await found(owned, path, limit=1)
    assert page["meta"] == {"page": 1, "limit": 1, "totalItems": 2, "totalPages": 2}
    assert page["data"] == [
        {"id": "s2", "createdAt": "2026-11-21T12:00:02.000Z", "projectId": PROJECT,
            "environment": "production"}
    ]  # fmt: skip
    assert await ids(owned, path, toTimestamp="2026-11-21T12:00:02Z") == ["s/1"]
    assert await ids(owned, path, fromTimestamp="2026-11-21T12:00:01Z") == ["s2"]
    detail = await found(owned, f"{path}/s%2F1")
    assert (detail["id"], detail["environment"]) == ("s/1", "production")
    assert [(each["id"], each["input"]) for each in detail["traces"]] == [
        ("t0", "hi"),
        ("t1", "again?"),
    ]


async def test_unknown_owners_and_those_of_other_projects_are_not_found(owned: Api) -> None:
    for path in ("/v1/sessions/none", "/v1/users/none", "/api/public/sessions/none"):
        assert (await owned.client.get(path)).status_code == 404
    for path in ("/v1/sessions/s2", "/v1/users/ada", "/api/public/sessions/s2"):
        assert (await owned.other.get(path)).status_code == 404
    for path in ("/v1/sessions", "/v1/users", "/api/public/sessions"):
        assert (await owned.other.get(path)).json()["data"] == []
