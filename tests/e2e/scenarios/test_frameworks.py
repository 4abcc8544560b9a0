"""Programs with DSPy, LiteLLM and LlamaIndex, through Langfuse's callbacks and OpenTelemetry."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.e2e.scenarios.conftest import Scenarios, Trace
from tests.e2e.scenarios.requirements import FRAMEWORKS, V2

COST = Decimal("0.000285")
"""200 input tokens at 0.15, 1,000 cached ones at 0.075, 300 output tokens at 0.60 USD/million."""
UNCACHED_COST = Decimal("0.00036")
"""The same if a library does not report which tokens were cached."""


def total(trace: Trace) -> Decimal:
    return Decimal(str(trace.body["totalCost"]))


@pytest.mark.parametrize("requirements", [V2, FRAMEWORKS], ids=["langfuse 2", "langfuse 4"])
def test_calls_through_litellm_with_its_langfuse_callback(
    requirements: Sequence[str], scenarios: Scenarios
) -> None:
    run = scenarios.run("litellm_langfuse.py", requirements)
    for name in ("plain", "stream"):
        trace = scenarios.trace(run, f"support-{name}", observations=1)
        assert (trace.body["userId"], trace.body["tags"]) == ("ada", ["alpha", "beta"])
        assert total(trace) == COST  # as LiteLLM states it
        call = trace.named(name)
        assert (call["type"], call["model"]) == ("GENERATION", "gpt-4o-mini")
        assert call["usageDetails"]["output"] == 300
        assert call["usageDetails"]["total"] == 1_500
        question = {"role": "user", "content": "Where is my invoice?"}
        assert call["input"] == {"messages": [question]}
        assert call["output"]["content"] == "Under Billing."
    if requirements is V2:  # this version of LiteLLM does not report failures
        return
    failed = scenarios.trace(run, "support-limited", observations=1)
    assert failed.named("limited")["level"] == "ERROR"
    assert "the provider answers 429" in failed.named("limited")["statusMessage"]
    assert total(failed) == 0


def test_a_call_through_litellm_with_its_opentelemetry_callback(scenarios: Scenarios) -> None:
    run = scenarios.run("litellm_otel.py", FRAMEWORKS)
    trace = scenarios.trace(run, "support-chat", observations=2)
    assert (trace.body["userId"], trace.body["tags"]) == ("ada", ["alpha", "beta"])
    assert trace.body["output"] == {"role": "assistant", "content": "Under Billing."}
    (call,) = [each for each in trace.body["observations"] if each["type"] == "GENERATION"]
    assert (call["name"], call["model"], call["parentObservationId"]) == (
        "answer", "gpt-4o-mini", None,
    )  # fmt: skip
    assert call["usageDetails"] == {
        "input": 200, "input_cached_tokens": 1_000, "output": 300, "total": 1_500,
    }  # fmt: skip
    assert total(trace) == COST


def test_a_query_of_llama_index_with_langfuse_s_callback(scenarios: Scenarios) -> None:
    run = scenarios.run("llama_index_langfuse.py", V2)
    trace = scenarios.trace(run, "support-chat", observations=4)
    assert trace.body["userId"] == "ada"
    assert (trace.body["input"], trace.body["output"]) == ("Where is my invoice?", "Under Billing.")
    call = trace.named("openai_llm")
    assert (call["type"], call["model"]) == ("GENERATION", "gpt-4o-mini")
    assert trace.path("openai_llm") == ["query", "synthesize", "openai_llm"]
    assert call["usageDetails"] == {"input": 1_200, "output": 300, "total": 1_500}
    assert total(trace) == UNCACHED_COST


def test_a_query_of_llama_index_through_openinference(scenarios: Scenarios) -> None:
    run = scenarios.run("llama_index_openinference.py", FRAMEWORKS)
    trace = scenarios.trace(run, "support-chat", observations=16)
    assert (trace.body["userId"], trace.body["tags"]) == ("ada", ["alpha"])
    query = trace.named("RetrieverQueryEngine.query")
    assert (query["input"], query["output"]) == ("Where is my invoice?", "Under Billing.")
    retrieval = trace.named("SummaryIndexRetriever.retrieve")
    assert retrieval["type"] == "RETRIEVER"
    call = trace.named("OpenAI.chat")
    assert (call["type"], call["model"]) == ("GENERATION", "gpt-4o-mini")
    assert trace.path("OpenAI.chat")[:2] == ["support-chat", "RetrieverQueryEngine.query"]
    assert call["usageDetails"] == {
        "input": 200, "input_cached_tokens": 1_000, "output": 300, "total": 1_500,
    }  # fmt: skip
    assert total(trace) == COST  # the outer generation has no usage, and adds nothing


def test_a_dspy_program_with_its_tracker_for_langfuse(scenarios: Scenarios) -> None:
    run = scenarios.run("dspy_tracker.py", V2)
    name = f"support-chat of {run.session}"
    trace = scenarios.trace(run, name, observations=0, sessionId="")  # the tracker drops it
    assert "Where is my invoice?" in trace.body["input"]
    answer = trace.body["output"]["choices"][0]["message"]["content"]
    assert answer == run.printed == "Under Billing."
    # DSPy also uses Langfuse's client of OpenAI, which traces the call with its usage.
    call = scenarios.trace(run, "OpenAI-generation", observations=1)
    assert call.named("OpenAI-generation")["model"] == "gpt-4o-mini"
    assert total(call) == COST


def test_a_dspy_program_through_openinference(scenarios: Scenarios) -> None:
    run = scenarios.run("dspy_openinference.py", FRAMEWORKS)
    trace = scenarios.trace(run, "support-chat", observations=6)
    assert (trace.body["userId"], trace.body["tags"]) == ("ada", ["alpha", "beta"])
    program = trace.named("Support.forward")
    assert program["input"] == {"question": "Where is my invoice?"}
    assert program["output"] == {"answer": "Under Billing."}
    call = trace.named("LM.__call__")
    assert (call["type"], call["model"]) == ("GENERATION", "gpt-4o-mini")
    assert trace.path("LM.__call__")[:3] == ["support-chat", "Support.forward", "Predict.forward"]
    # OpenInference does not report the tokens of DSPy's calls: they are counted from the texts.
    assert call["usageDetails"]["total"] > 0
    assert total(trace) == Decimal(str(call["calculatedTotalCost"])) > 0
