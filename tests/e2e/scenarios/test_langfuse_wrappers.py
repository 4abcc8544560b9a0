"""Calls through Langfuse's wrapper of OpenAI's client, its LangChain callback, and its own API."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.e2e.scenarios.conftest import Scenarios, Trace
from tests.e2e.scenarios.requirements import V2, V3, V5

QUESTION = {"role": "user", "content": "Where is my invoice?"}
COST = Decimal("0.000285")
"""200 input tokens at 0.15, 1,000 cached ones at 0.075, 300 output tokens at 0.60 USD/million."""
UNCACHED_COST = Decimal("0.00036")
"""1,200 input tokens at 0.15 and 300 output tokens at 0.60 USD per million."""


@pytest.mark.parametrize("major", [2, 3, 5])
def test_calls_and_chains_are_traced_with_their_cost(major: int, scenarios: Scenarios) -> None:
    program = "langfuse_v2.py" if major == 2 else "langfuse_otel.py"
    run = scenarios.run(program, {2: V2, 3: V3, 5: V5}[major])
    read = partial(scenarios.trace, run)
    for name in ("plain", "async", "stream"):
        check_call(read(name, observations=1), name, major)
    check_tool_call(read("tools", observations=1))
    for name, status in (("limited", 429), ("broken", 500)):
        check_error(read(name, observations=1), name, status)
    # Versions 3 and 5 also trace OpenAI's client that LangChain uses.
    check_chain(read("answer-question", observations=4 if major == 2 else 5))
    check_manual(read("support-chat", observations=2 if major == 2 else 3, scores=1))


def check_call(trace: Trace, name: str, major: int) -> None:
    call = trace.named(name)
    assert trace.body["userId"] == "ada"
    assert trace.body["tags"] == ["alpha", "beta"]
    assert Decimal(str(trace.body["totalCost"])) == cost(call) == COST
    assert (call["type"], call["model"], call["level"]) == ("GENERATION", "gpt-4o-mini", "DEFAULT")
    assert call["usageDetails"] == {
        "input": 200, "input_cached_tokens": 1_000, "output": 300, "total": 1_500,
    }  # fmt: skip
    assert call["input"] == [QUESTION]
    answer = {"role": "assistant", "content": "Under Billing."}
    assert call["output"] == (answer["content"] if name == "stream" else answer)
    assert (call["timeToFirstToken"] is not None) == (name == "stream")
    metadata = call["metadata"] if major == 2 else trace.body["metadata"]
    assert metadata["plan"] == "pro"


def check_tool_call(trace: Trace) -> None:
    call = trace.named("tools")
    assert call["input"]["tools"][0]["function"]["name"] == "search"
    (called,) = call["output"]["tool_calls"]
    assert called["function"] == {"name": "search", "arguments": '{"topic": "invoice"}'}
    assert cost(call) == COST


def check_error(trace: Trace, name: str, status: int) -> None:
    call = trace.named(name)
    assert call["level"] == "ERROR"
    assert call["statusMessage"].startswith(f"Error code: {status}")
    assert f"the provider answers {status}" in call["statusMessage"]
    assert call["usageDetails"] == {}
    assert trace.body["totalCost"] == 0


def check_chain(trace: Trace) -> None:
    assert (trace.body["userId"], trace.body["tags"]) == ("ada", ["alpha", "beta"])
    assert trace.body["input"] == {"question": "Where is my invoice?"}
    assert trace.body["output"] == "Under Billing."
    assert trace.body["metadata"]["plan"] == "pro"
    for step in ("ChatPromptTemplate", "ChatOpenAI", "StrOutputParser"):
        assert trace.path(step) == ["answer-question", step]
    call = trace.named("ChatOpenAI")
    assert (call["type"], call["model"]) == ("GENERATION", "gpt-4o-mini")
    assert call["input"] == [{"role": "system", "content": "Be brief."}, QUESTION]
    assert call["output"]["content"] == "Under Billing."
    used = {key: call["usageDetails"][key] for key in ("input", "input_cache_read", "output")}
    assert used == {"input": 200, "input_cache_read": 1_000, "output": 300}
    # A call that is traced twice, as one of LangChain and one of OpenAI, is billed once.
    assert Decimal(str(trace.body["totalCost"])) == cost(call) == COST


def check_manual(trace: Trace) -> None:
    assert trace.body["userId"] == "ada"
    assert trace.named("retrieve")["output"] == ["page 1"]
    call = trace.named("answer")
    assert call["parentObservationId"] == trace.named("retrieve")["parentObservationId"]
    assert call["usageDetails"] == {"input": 1_200, "output": 300, "total": 1_500}
    assert Decimal(str(trace.body["totalCost"])) == cost(call) == UNCACHED_COST
    (feedback,) = trace.body["scores"]
    assert (feedback["name"], feedback["value"], feedback["comment"]) == (
        "user-feedback", 1, "That helped.",
    )  # fmt: skip


def cost(observation: dict[str, Any]) -> Decimal:
    return Decimal(str(observation["calculatedTotalCost"]))
