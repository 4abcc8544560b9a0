"""A cost that the sender states is used, in any spelling, and no other value is taken as one."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.values.stated_costs import cost_in, role_of, total_of
from tests.producers.gateway.conftest import Log
from tests.producers.gateway.langfuse.ingestion_batches import event, send
from tests.producers.gateway.mapping.test_mapper import mapped, one
from tracemill.contract import Observation

HALF = {"total": 5 * 10**11}
SIDES = {"input": 2 * 10**11, "output": 3 * 10**11}


@pytest.mark.parametrize(
    "key",
    [
        *("gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost", "gen_ai.cost"),
        *("llm.cost.total", "llm.usage.cost", "llm.usage.total_cost", "llm.cost_usd", "llm.cost"),
        *("operation.cost", "response_cost", "llm.response_cost", "usage.cost", "cost_usd"),
        *("llm.total_cost", "gen_ai.usage.cost_usd", "gen_ai.response.cost", "llm.estimated_cost"),
        *("gen_ai.usage.totalCost", "openrouter.usage.cost", "litellm.response_cost"),
    ],
)
def test_an_attribute_states_the_cost_of_a_call(key: str) -> None:
    assert one({key: 0.5}).cost == HALF
    assert one({key: "0.5"}).cost == HALF


@pytest.mark.parametrize("key", ["cost", "total_cost", "totalCost", "call.cost", "estimated_cost"])
def test_a_plain_name_states_a_cost_only_beside_a_model(key: str) -> None:
    assert one({"model": "gpt-4o", key: 0.5}).cost == HALF
    assert one({"gen_ai.system": "openai", key: 0.5}).cost == HALF
    assert one({"shop.item": "lamp", key: 0.5}).cost is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"llm.cost.prompt": 0.2, "llm.cost.completion": 0.3}, SIDES),
        ({"llm.cost.prompt": 0.2, "llm.cost.completion": 0.3, "llm.cost.total": 0.5},
         SIDES | HALF),
        ({"gen_ai.cost.input_cost": 0.2, "gen_ai.cost.output_cost": 0.3}, SIDES),
        ({"gen_ai.usage.prompt_cost": 0.2, "gen_ai.usage.completion_cost": 0.3}, SIDES),
        ({"llm.cost.prompt": 0.2, "llm.cost.prompt_details.cache_read": 0.1,
          "llm.cost.completion": 0.3}, SIDES),
        ({"gen_ai.usage.cost_details": json.dumps({"input": 1, "total_cost": 0.5})}, HALF),
        ({"mlflow.llm.cost": json.dumps({"input_cost": 0.2, "output_cost": 0.3,
                                         "total_cost": 0.5})}, SIDES | HALF),
        ({"langfuse.observation.usage_details": json.dumps({"input": 1, "cost": 0.5})}, HALF),
        ({"langsmith.usage_metadata": json.dumps({"input_tokens": 1, "total_cost": 0.5})}, HALF),
        ({"hidden_params": json.dumps({"model_id": "m", "response_cost": 0.5})}, HALF),
        ({"llm.usage": json.dumps({"prompt_tokens": 1, "cost": 0.5})}, HALF),
        ({"langfuse.observation.cost_details": json.dumps({"a": 0.5}), "gen_ai.usage.cost": 9},
         {"a": 5 * 10**11}),
        ({"langfuse.observation.cost_details": "{}", "operation.cost": 0.5}, HALF),
    ],
)  # fmt: skip
def test_sides_and_objects_of_costs_are_read(
    attributes: dict[str, Any], expected: dict[str, int]
) -> None:
    assert one(attributes).cost == expected


@pytest.mark.parametrize(
    "provider",
    [
        {"openrouter": {"usage": {"promptTokens": 1, "cost": 0.5}}},
        {"gateway": {"cost": "0.5"}},
        {"xai": {"costInUsdTicks": 5_000_000_000}},
    ],
)
def test_a_call_of_the_ai_sdk_has_the_cost_that_its_provider_states(
    provider: dict[str, Any],
) -> None:
    def cost(operation: str) -> dict[str, int] | None:
        found = mapped(
            {
                "scope": {"name": "ai"},
                "spans": [
                    {
                        "attributes": {
                            "ai.operationId": operation,
                            "ai.response.providerMetadata": json.dumps(provider),
                        }
                    }
                ],
            }
        )
        return found.observations[0].cost

    assert cost("ai.generateText.doGenerate") == HALF
    assert cost("ai.generateText") is None, "the operation around the call repeats it"


@pytest.mark.parametrize(
    "name",
    [
        *("input_cost_per_token", "cost_eur", "cost_cents", "cost_in_ticks", "costume"),
        *("gen_ai.usage.cost_limit", "upstream_inference_cost", "gen_ai.cost.discount_amount"),
        *(
            "gen_ai.usage.input_tokens",
            "market_cost",
            "tool_cost",
            "total",
            "usd",
            "llm.cost." * 20,
        ),
    ],
)
def test_names_with_other_words_state_no_cost(name: str) -> None:
    assert role_of(name) == ""
    assert one({"model": "gpt-4o", name: 0.5}).cost is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "cost": 0.5, "cost_details": {"upstream_inference_cost": None}},
         HALF),
        ({"cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.4}}, HALF),
        ({"cost": 0.5, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.4}}, HALF),
        ({"input": 1, "total_cost": 0.5}, HALF),
        ({"input": 1, "totalCost": 0.5}, HALF),
        ({"input": 1, "inputCost": 0.2, "outputCost": 0.3}, SIDES),
        ({"cost": {"input_tokens_cost": 0.1, "output_tokens_cost": 0.1, "request_cost": 0.3,
                   "total_cost": 0.5}}, {"input": 10**11, "output": 10**11} | HALF),
        ({"input": 1, "inputCost": 0.2, "outputCost": 0.3, "totalCost": 99},
         SIDES | {"total": 99 * 10**12}),
        ({"input": 1, "input_cost": 0.2, "total_cost": 0}, {"input": 2 * 10**11, "total": 0}),
        ({"input": 1, "response_cost": 0.5}, HALF),
        ({"input_tokens": 1, "cost_in_usd_ticks": 5_000_000_000}, HALF),
        ({"input_tokens": 1, "cost_in_usd_ticks": -1}, None),
        ({"input_tokens": 1, "cost_in_usd_ticks": 1.5}, None),
        ({"input_tokens": 1, "cost_in_usd_ticks": 10**16}, None),
        ({"input": 1, "cost": -1}, None),
        ({"input": 1, "cost": "free"}, None),
        ({"input": 1, "cost": 100_001}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["usage", "usageDetails"])
async def test_a_usage_object_states_its_cost(
    client: httpx.AsyncClient,
    log: Log,
    field: str,
    usage: dict[str, Any],
    expected: dict[str, int] | None,
) -> None:
    body = {"id": "o", "traceId": "t", field: usage}
    response = await send(client, event("generation-create", body))
    assert response.json()["errors"] == []
    (observation,) = await log.events()
    assert isinstance(observation, Observation)
    assert observation.cost == expected


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"input_cost": 0.2, "output_cost": 0.3, "total_cost": 0.5}, 5 * 10**11),
        ({"input": 0.2, "output": 0.3, "totalCost": 0.6}, 6 * 10**11),
        ({"total_cost": 0.5}, 5 * 10**11),
        ({"cost": 0.5}, 5 * 10**11),
        ({"input": 0.2, "output": 0.3}, 5 * 10**11),
        ({"input": 0.2, "output": 0.3, "total": 0.4}, 4 * 10**11),
    ],
)
async def test_a_total_of_cost_details_is_no_further_part(
    client: httpx.AsyncClient, log: Log, details: dict[str, Any], expected: int
) -> None:
    attribute = {"langfuse.observation.cost_details": json.dumps(details)}
    assert total_of(one(attribute).cost or {}) == expected
    body = {"id": "o", "traceId": "t", "costDetails": details}
    await send(client, event("generation-create", body))
    (observation,) = await log.events()
    assert isinstance(observation, Observation)
    assert total_of(observation.cost or {}) == expected


AMOUNTS = st.dictionaries(
    st.sampled_from(
        ["cost", "total_cost", "inputCost", "output_cost", "prompt_cost", "x", "usage"]
    ),
    st.one_of(st.none(), st.integers(-1, 3), st.sampled_from(["0.5", "x", {"cost": 1}, [1]])),
    max_size=4,
)


@given(AMOUNTS)
def test_the_order_of_names_does_not_matter(stated: dict[str, Any]) -> None:
    expected = cost_in(stated)
    assert all(pico >= 0 for pico in expected.values())
    for items in permutations(stated.items()):
        assert cost_in(dict(items)) == expected
