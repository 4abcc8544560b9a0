"""Every limit is counted under the name of its setting when it is reached."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clickhouse.errors import QueryLimitReached
from query_api.settings import QuerySettings
from tests.query_api.counting import reached
from tests.query_api.harness import Api, make_api, observation, score, trace

BUDGET = {"name": "b", "period": "day", "limit_usd": "1"}
WEBHOOK = {"url": "https://93.184.216.34/hook", "events": ["budget.threshold_crossed"]}
PROMPTS = "/api/public/v2/prompts"
PROMPT = {"name": "a", "prompt": "x" * 1_100}
OTHER_PROMPT = {"name": "b", "prompt": "@@@langfusePrompt:name=a|version=1@@@"}
LIMITS: list[tuple[str, dict[str, Any], list[tuple[str, str, Any]]]] = [
    ("trace_observations_max", {}, [("GET", "/api/public/traces/t", None)]),
    ("trace_observations_max", {}, [("GET", "/v1/traces/t/tree", None)]),
    ("trace_scores_max", {}, [("GET", "/api/public/traces/t?fields=scores", None)]),
    ("trace_ids_max", {}, [("GET", "/api/public/traces", None)]),
    ("tree_depth_max", {"trace_observations_max": 9}, [("GET", "/v1/traces/t/tree", None)]),
    ("window_steps_max", {}, [("GET", "/v1/windows", None)]),
    ("budgets_per_project_max", {}, [("POST", "/v1/budgets", BUDGET)] * 2),
    ("webhooks_per_project_max", {}, [("POST", "/v1/webhooks", WEBHOOK)] * 2),
    ("body_max_bytes", {}, [("POST", "/v1/budgets", BUDGET | {"name": "x" * 2000})]),
    ("prompts_per_project_max", {}, [("POST", PROMPTS, PROMPT), ("POST", PROMPTS, OTHER_PROMPT)]),
    ("prompt_versions_per_project_max", {}, [("POST", PROMPTS, PROMPT)] * 2),
    ("prompt_changes_per_project_max", {}, [("POST", PROMPTS, PROMPT)] * 2),
    ("prompt_max_bytes", {}, [("POST", PROMPTS, PROMPT)]),
    ("prompts_of_project_max_bytes", {}, [("POST", PROMPTS, PROMPT)]),
    ("prompt_resolved_max_chars", {}, [("POST", PROMPTS, PROMPT), ("POST", PROMPTS, OTHER_PROMPT)]),
    ("prompt_body_max_bytes", {}, [("POST", PROMPTS, PROMPT)]),
    ("rows_to_read_max", {}, [("GET", "/api/public/observations", None)]),
    ("result_rows_max", {}, [("GET", "/api/public/observations", None)]),
    ("result_bytes_max", {}, [("GET", "/api/public/observations", None)]),
]


@pytest.mark.parametrize(
    ("limit", "others", "requests"), LIMITS, ids=[f"{each[0]}-{each[2][0][1]}" for each in LIMITS]
)
async def test_a_limit_that_is_reached_is_counted_under_its_name(
    api: Api, limit: str, others: dict[str, Any], requests: list[tuple[str, str, Any]]
) -> None:
    await api.insert(
        trace("t", observation_count=3),
        *(observation("t", f"o{n}", parent_id=f"o{n - 1}" if n else "") for n in range(3)),
        *(score(f"s{n}", trace_id="t") for n in range(3)),
    )
    lowest = 1024 if limit.endswith(("_bytes", "_chars")) and limit != "result_bytes_max" else 1
    small, clients = make_api(api.store, QuerySettings(**{limit: lowest}, **others))
    before = reached(limit)
    for method, path, body in requests:
        await small.client.request(method, path, json=body)
    assert reached(limit) > before
    for client in clients:
        await client.aclose()


class LimitedStore:
    """Refuses what it is asked with a number of ClickHouse's."""

    database = "none"

    def __init__(self, code: int) -> None:
        self.code = code

    async def query_bytes(self, *_: object, **__: object) -> bytes:
        raise QueryLimitReached(self.code, "a limit was reached")


@pytest.mark.parametrize(
    ("code", "limit"),
    [(159, "execution_time_max_s"), (307, "bytes_to_read_max"), (241, "memory_max_bytes")],
)
async def test_a_bound_of_the_store_is_counted_under_its_setting(code: int, limit: str) -> None:
    api, clients = make_api(LimitedStore(code))  # type: ignore[arg-type]
    before = reached(limit)
    assert (await api.client.get("/v1/alerts")).status_code == 422
    assert reached(limit) == before + 1
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize(
    ("limit", "path", "body"),
    [
        ("budgets_per_project_max", "/v1/budgets", BUDGET),
        ("webhooks_per_project_max", "/v1/webhooks", WEBHOOK),
    ],
)
async def test_a_limit_on_records_holds_for_concurrent_creations(
    api: Api, limit: str, path: str, body: dict[str, Any]
) -> None:
    small, clients = make_api(api.store, QuerySettings(**{limit: 3}))
    answers = await asyncio.gather(*(small.client.post(path, json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
    assert (await small.other.post(path, json=body)).status_code == 201
    first = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
    assert (await small.client.delete(f"{path}/{first}")).status_code == 204
    assert (await small.client.post(path, json=body)).status_code == 201
    for client in clients:
        await client.aclose()


async def test_a_record_that_was_not_written_does_not_count(api: Api) -> None:
    small, clients = make_api(api.store, QuerySettings(budgets_per_project_max=1))
    small.control.broken = True
    assert (await small.client.post("/v1/budgets", json=BUDGET)).status_code == 503
    small.control.broken = False
    assert (await small.client.post("/v1/budgets", json=BUDGET)).status_code == 201
    for client in clients:
        await client.aclose()
