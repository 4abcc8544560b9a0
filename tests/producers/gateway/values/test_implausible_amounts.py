"""Implausible counts and costs are dropped at every endpoint and counted; observations are kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.producers.gateway.conftest import Log, times_reached
from tests.producers.gateway.langfuse.ingestion_batches import event, send
from tests.producers.gateway.mapping.test_mapper import one
from tracemill.contract import Observation

MOST = 10**9
PICO = 10**12
TOO_MANY = pytest.mark.parametrize("count", [MOST + 1, 10**15, 2**53, 2**64, "1000000001", 1e300])
TOO_MUCH = {f"part{n}": 100_000 for n in range(100)}


async def sent(client: httpx.AsyncClient, log: Log, body: dict[str, Any]) -> Observation:
    response = await send(client, event("generation-create", {"id": "o", "traceId": "t", **body}))
    assert response.json()["errors"] == []
    (observation,) = await log.events()
    assert isinstance(observation, Observation)
    return observation


@TOO_MANY
async def test_an_ingested_count_that_nobody_believes_is_left_out(
    client: httpx.AsyncClient, log: Log, count: object
) -> None:
    before = times_reached("count_max")
    said = await sent(client, log, {"usageDetails": {"output": count, "input": MOST}})
    assert said.usage == {"input": MOST}
    assert times_reached("count_max") == before + 1


@pytest.mark.parametrize(
    "body",
    [
        {"costDetails": TOO_MUCH},
        {"costDetails": {**TOO_MUCH, "total": 1}},
        {"usage": {"inputCost": 99_999, "outputCost": 1.000000000001}},
    ],
)
async def test_an_ingested_cost_that_adds_up_to_too_much_is_left_out(
    client: httpx.AsyncClient, log: Log, body: dict[str, Any]
) -> None:
    before = times_reached("observation_cost_max")
    assert (await sent(client, log, body)).cost is None
    assert times_reached("observation_cost_max") > before


async def test_the_most_that_an_observation_may_cost_is_taken(
    client: httpx.AsyncClient, log: Log
) -> None:
    said = await sent(client, log, {"costDetails": {"a": 99_999, "b": 1, "total": 100_000}})
    assert said.cost == {"a": 99_999 * PICO, "b": PICO, "total": 100_000 * PICO}


@TOO_MANY
def test_a_spans_count_that_nobody_believes_is_left_out(count: float | str) -> None:
    if count == 2**64:
        count = 2**63 - 1  # the most that a span's attribute can say
    attributes = {"gen_ai.usage.output_tokens": count, "gen_ai.usage.input_tokens": MOST}
    assert one({"gen_ai.request.model": "m", **attributes}).usage == {"input": MOST}
    details = f'{{"output": {count}, "input": {MOST}}}'
    assert one({"langfuse.observation.usage_details": details}).usage == {"input": MOST}


def test_a_spans_cost_that_adds_up_to_too_much_is_left_out() -> None:
    details = '{"input": 60000, "output": 40000.01}'
    assert one({"langfuse.observation.cost_details": details}).cost is None
    assert one({"gen_ai.usage.cost": 100_000.01}).cost is None
