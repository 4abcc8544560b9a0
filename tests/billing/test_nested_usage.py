"""Usage that several spans of one call report is billed once, in whatever order they arrive."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from clickhouse.rows import TraceRow
from producers.gateway.mapping import map_in_slices
from producers.gateway.otlp import Export, ExportedSpan, SpanGroup
from producers.gateway.otlp.export import Origin
from producers.langfuse_sdk import Sdk
from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.fold import FoldLimits, ObservationsFold
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.seen import SeenTraces
from streams.core.pricing.price_book import PriceBook
from tracemill.contract import Observation, encode_event

NOW_US = 1_795_046_400_000_000
LIMITS = FoldLimits(1_000, 1_000_000, 1_000, DeadLetterLimit(5, 0.5, 10))
Spans = dict[str, tuple[str | None, dict[str, Any]]]
"""Parent and attributes of each span, by id."""


class ByLength:
    """Estimates a token per character."""

    def usage_of(self, model: str, input_text: str, output_text: str) -> dict[str, int]:
        return {"input": len(input_text), "output": len(output_text)}


def mapped(spans: Spans, scope: str) -> list[Observation]:
    exported = [
        ExportedSpan("t" * 32, id_, parent, id_, NOW_US * 1000, NOW_US * 1000 + 1, attributes, [])
        for id_, (parent, attributes) in spans.items()
    ]
    slices = map_in_slices(
        Export([SpanGroup(Origin({}, scope, "", {}), exported)], {}), "p", NOW_US, Sdk()
    )
    found = [observation for each in slices for observation in each.observations]
    assert len(found) == len(spans)
    return found


def trace_of(observations: list[Observation]) -> TraceRow:
    """Fold each observation as a record and chunk of its own."""
    fold = ObservationsFold("events", 0, LIMITS, PriceBook(), ByLength(), SeenTraces())
    for number, observation in enumerate(observations, 1):
        record = SourceRecord(number, NOW_US + number, encode_event(observation))
        records = [read(record)]
        effects = fold.fold(records, fold.needs(records), number)
    return effects.traces[-1]


def sums(trace: TraceRow) -> tuple[int, int, Decimal]:
    tokens = (
        sum(n for kind, n in trace.usage.items() if kind.startswith(side))
        for side in ("input", "output")
    )
    return (*tokens, Decimal(trace.total_cost_pico) / 10**12)  # type: ignore[return-value]


def chat(input_: int, output: int, model: str = "gpt-4o-mini", **more: Any) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": input_,
        "gen_ai.usage.output_tokens": output,
        **more,
    }


def openinference(kind: str, prompt: int, completion: int, model: str = "") -> dict[str, Any]:
    return {
        "openinference.span.kind": kind,
        "llm.token_count.prompt": prompt,
        "llm.token_count.completion": completion,
        **({"llm.model_name": model} if model else {}),
    }


EMBEDDED = {
    "gen_ai.operation.name": "embeddings",
    "gen_ai.request.model": "text-embedding-3-large",
    "gen_ai.usage.input_tokens": 28_000,
}
WITHOUT_OPERATION = {"gen_ai.usage.input_tokens": 113, "gen_ai.usage.output_tokens": 11}

CASES: dict[str, tuple[str, Spans, tuple[int, int, str], set[str]]] = {
    "AI SDK 7 embeds in two spans": (
        "gen_ai",
        {"embed": (None, EMBEDDED), "doEmbed": ("embed", EMBEDDED)},
        (28_000, 0, "0.00364"),
        {"embed"},
    ),
    "AI SDK 4 embeds in two spans": (
        "ai",
        {
            "embed": (
                None,
                {
                    "operation.name": "ai.embed",
                    "ai.operationId": "ai.embed",
                    "ai.model.id": "text-embedding-3-large",
                    "ai.usage.tokens": 28_000,
                },
            ),
            "doEmbed": (
                "embed",
                {
                    "operation.name": "ai.embed.doEmbed",
                    "ai.operationId": "ai.embed.doEmbed",
                    "ai.model.id": "text-embedding-3-large",
                    "ai.usage.tokens": 28_000,
                },
            ),
        },
        (28_000, 0, "0.00364"),
        {"embed"},
    ),
    "AI SDK 4 repeats the last step on the outer span": (
        "ai",
        {
            "text": (
                None,
                {
                    "ai.operationId": "ai.generateText",
                    "ai.model.id": "gpt-4o-mini",
                    "ai.usage.promptTokens": 200,
                    "ai.usage.completionTokens": 20,
                },
            ),
            **{
                f"step{n}": (
                    "text",
                    {
                        "ai.operationId": "ai.generateText.doGenerate",
                        "ai.model.id": "gpt-4o-mini",
                        "ai.usage.promptTokens": 100 * n,
                        "ai.usage.completionTokens": 10 * n,
                    },
                )
                for n in (1, 2)
            },
        },
        (300, 30, "0.000063"),
        {"text"},
    ),
    "an agent without an operation name sums up two calls": (
        "agents",
        {
            "agent": (None, WITHOUT_OPERATION),
            "first": ("agent", chat(57, 6)),
            "second": ("agent", chat(56, 5)),
        },
        (113, 11, "0.00002355"),
        {"agent"},
    ),
    "smolagents sum up calls in steps in a run": (
        "openinference.instrumentation.smolagents",
        {
            "run": (None, openinference("AGENT", 300, 30)),
            "step": ("run", openinference("CHAIN", 100, 10)),
            "model": ("step", openinference("LLM", 100, 10, "gpt-4o-mini")),
            "tool": ("run", {"openinference.span.kind": "TOOL"}),
            "again": ("tool", openinference("LLM", 200, 20, "gpt-4o-mini")),
        },
        (300, 30, "0.000063"),
        {"run", "step"},
    ),
    "a chat in a chat": (
        "gen_ai",
        {
            "outer": (None, chat(100, 10, "openai/gpt-4o-mini")),
            "inner": ("outer", chat(100, 10, "gpt-4o-mini-2024-07-18")),
        },
        (100, 10, "0.000021"),
        {"outer"},
    ),
    "a workflow around an agent around calls": (
        "gen_ai",
        {
            "workflow": (None, chat(100, 10, **{"gen_ai.operation.name": "invoke_workflow"})),
            "agent": ("workflow", chat(100, 10, **{"gen_ai.operation.name": "invoke_agent"})),
            "call": ("agent", chat(100, 10)),
        },
        (100, 10, "0.000021"),
        {"workflow", "agent"},
    ),
    "an agent of which one call was not traced": (
        "gen_ai",
        {
            "agent": (None, chat(150, 15, **{"gen_ai.operation.name": "invoke_agent"})),
            "call": ("agent", chat(100, 10)),
        },
        (150, 15, "0.0000315"),
        {"agent"},
    ),
    "an estimate around a call that reports": (
        "openinference.instrumentation.dspy",
        {
            "LM.__call__": (
                None,
                {
                    "openinference.span.kind": "LLM",
                    "llm.model_name": "openai/gpt-4o-mini",
                    "input.value": "i" * 200,
                    "output.value": "o" * 60,
                },
            ),
            "completion": ("LM.__call__", openinference("LLM", 800, 60, "gpt-4o-mini")),
        },
        (800, 60, "0.000156"),
        {"LM.__call__"},
    ),
    "a lone agent": (
        "gen_ai",
        {"agent": (None, chat(100, 10, **{"gen_ai.operation.name": "invoke_agent"}))},
        (100, 10, "0.000021"),
        set(),
    ),
    "a call whose tool makes another call": (
        "gen_ai",
        {
            "outer": (None, chat(100, 10)),
            "tool": ("outer", {"gen_ai.operation.name": "execute_tool"}),
            "inner": ("tool", chat(40, 4)),
        },
        (140, 14, "0.0000294"),
        set(),
    ),
    "an agent that states the cost of its run": (
        "agents",
        {
            "run": (None, {"openinference.span.kind": "AGENT", "llm.cost.total": 0.000021}),
            "call": ("run", chat(100, 10)),
        },
        (100, 10, "0.000021"),
        {"run"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_nested_usage_is_billed_once(name: str) -> None:
    scope, spans, (input_, output, usd), summaries = CASES[name]
    observations = mapped(spans, scope)
    for order in permutations(observations):
        trace = trace_of(list(order))
        assert sums(trace) == (input_, output, Decimal(usd))
        assert trace.summaries.keys() == summaries


def test_a_summary_shows_what_its_descendants_leave() -> None:
    _, spans, _, _ = CASES["an agent of which one call was not traced"]
    trace = trace_of(mapped(spans, "gen_ai"))
    assert trace.summaries == {
        "agent": {"input": 50, "output": 5, "total": 55, "cost_pico": 10_500_000}
    }
