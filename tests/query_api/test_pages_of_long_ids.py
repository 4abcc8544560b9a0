"""Every list can be paged over the longest ids that are stored."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from query_api import cursors
from query_api.store.queries.late_events import VERSION_SHIFT
from streams.core.observations.limits import ID_CHARS_MAX
from tests.query_api.experiments.test_recorded_experiments import span
from tests.query_api.harness import NOON_US, Api, Kept, observation, opened, score, trace
from tests.query_api.test_openapi_document import DOCUMENT

RANGE = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
SINCE = {"fromStartTime": "2026-11-21T00:00:00Z"}
NEXT_DAY_MS = (NOON_US // 1_000) + 86_400_000
NUMBERS = ("1", "2", "3")


def long(number: str) -> str:
    """Return an id whose characters need most in JSON: six bytes each."""
    return number + "\x01" * (ID_CHARS_MAX - 1)


SESSION = long("s")
ROWS = [
    *(trace(long(each), session_id=SESSION, user_id=long(each)) for each in NUMBERS),
    *(trace(f"t{each}", session_id=long(each)) for each in NUMBERS),
    *(
        observation(
            long(each), long(each), NOON_US, row_version=NEXT_DAY_MS << VERSION_SHIFT,
            model=long(each), cost_source="unpriced", usage={"input": 1, "total": 1},
        )
        for each in NUMBERS
    ),
    *(score(long(each), trace_id="t1") for each in NUMBERS),
    *(span(each, each, NOON_US, attributes={"id": long(each)}) for each in NUMBERS),
]  # fmt: skip


@pytest.fixture(scope="module")
def stored(kept: Kept) -> str:
    return kept(ROWS)


@pytest.mark.parametrize(
    ("path", "parameters", "number"),
    [
        ("/v1/sessions", {}, 4),
        ("/v1/users", {}, 3),
        (f"/v1/sessions/{quote(SESSION)}", {}, 3),
        ("/v1/late-events", RANGE, 3),
        ("/v1/prices/unpriced", RANGE, 3),
        ("/api/public/v2/observations", {}, 6),
        ("/api/public/v3/scores", {}, 3),
        ("/api/public/experiments", SINCE, 3),
        ("/api/public/experiment-items", SINCE, 3),
    ],
)
async def test_pages_continue_after_the_longest_ids(
    clickhouse_url: str, stored: str, path: str, parameters: dict[str, Any], number: int
) -> None:
    async with opened(clickhouse_url, stored) as api:
        rows = await paged(api, path, parameters)
    assert len(rows) == number
    assert len({str(row) for row in rows}) == number


async def test_pages_of_tiers_continue_after_the_longest_ids(
    clickhouse_url: str, stored: str
) -> None:
    async with opened(clickhouse_url, stored) as api:
        for each in NUMBERS:
            user_id = each + "\U0001f600" * (ID_CHARS_MAX - 1)
            path = f"/v1/tiers/{quote(user_id, safe='')}"
            assert (await api.client.put(path, json={"tier": "pro"})).status_code == 200
        assert len(await paged(api, "/v1/tiers", {})) == len(NUMBERS)


async def paged(api: Api, path: str, parameters: dict[str, Any]) -> list[Any]:
    rows: list[Any] = []
    cursor = None
    while True:
        given = {**parameters, "limit": 1, **({"cursor": cursor} if cursor else {})}
        answer = await api.client.get(path, params=given)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        page = body.get("turns", body.get("data"))
        assert len(page) <= 1
        rows += page
        assert len(rows) <= len(ROWS)
        cursor = body["meta"].get("cursor")
        if cursor is None:
            return rows


def test_every_cursor_has_the_same_limit() -> None:
    lengths = {
        f"{method} {path}": _longest(parameter["schema"])
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "cursor"
    }
    assert len(lengths) > 10
    assert set(lengths.values()) == {cursors.LENGTH_MAX}, lengths


def _longest(schema: dict[str, Any]) -> int | None:
    found = [schema, *schema.get("anyOf", ())]
    return next((each["maxLength"] for each in found if "maxLength" in each), None)
