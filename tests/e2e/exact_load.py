"""A load with known totals: seeded observations, exact money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PICODOLLARS = Decimal(10) ** 12
PRICES_PICO = {"gpt-4o-mini": (150_000, 600_000), "gpt-4o": (2_500_000, 10_000_000)}
"""Input and output prices per token."""
SPANS_PER_TRACE = 5
USERS = 7


@dataclass(frozen=True, slots=True)
class Fact:
    """One observation, and what it costs."""

    trace: int
    place: int
    user: str
    model: str
    input_tokens: int
    output_tokens: int
    start_ns: int
    failed: bool
    repeated: tuple[int, int] = (0, 0)
    """Tokens of its descendants that an agent reports once more, which costs nothing."""

    @property
    def trace_id(self) -> bytes:
        return b"exactly!" + (self.trace + 1).to_bytes(8, "big")

    @property
    def span_id(self) -> bytes:
        return (self.trace * SPANS_PER_TRACE + self.place + 1).to_bytes(8, "big")

    @property
    def cost_pico(self) -> int:
        if not self.model:
            return 0
        price_in, price_out = PRICES_PICO[self.model]
        return self.input_tokens * price_in + self.output_tokens * price_out


def facts(observations: int, *, start_ns: int, spread_ns: int, seed: int) -> list[Fact]:
    """``observations`` facts in traces of five, which start within ``spread_ns``."""
    random = Random(seed)
    made: list[Fact] = []
    for trace in range(observations // SPANS_PER_TRACE):
        begun_ns = start_ns + random.randrange(spread_ns)
        user = f"user-{random.randrange(USERS)}"
        for place in range(SPANS_PER_TRACE):
            generation = place >= 3
            made.append(
                Fact(
                    trace=trace,
                    place=place,
                    user=user,
                    model=random.choice(tuple(PRICES_PICO)) if generation else "",
                    input_tokens=random.randrange(1, 5_000) if generation else 0,
                    output_tokens=random.randrange(1, 900) if generation else 0,
                    start_ns=begun_ns + place * 1_000_000,
                    failed=random.random() < 0.02,
                )
            )
        if trace % 2:
            made[-SPANS_PER_TRACE] = around(made[-SPANS_PER_TRACE:])
    return made


def around(spans: Sequence[Fact]) -> Fact:
    """Return the root span as an agent that sums up the calls of its trace."""
    inputs, outputs = (sum(each) for each in zip(*map(tokens_of, spans), strict=True))
    return replace(spans[0], repeated=(inputs, outputs))


def tokens_of(fact: Fact) -> tuple[int, int]:
    return fact.input_tokens, fact.output_tokens


def export(batch: Sequence[Fact], environment: str) -> bytes:
    """The facts as one OTLP export. The user is named on the root span alone, as older SDKs do."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.scope.name = "langfuse-sdk"
    scope.scope.version = "3.15.0"
    for fact in batch:
        root = fact.place == 0
        span = scope.spans.add(
            trace_id=fact.trace_id,
            span_id=fact.span_id,
            parent_span_id=b"" if root else (fact.trace * SPANS_PER_TRACE + 1).to_bytes(8, "big"),
            name=("chain", "search", "lookup", "rewrite", "answer")[fact.place],
            start_time_unix_nano=fact.start_ns,
            end_time_unix_nano=fact.start_ns + 50_000_000,
        )
        attributes = {"langfuse.environment": environment}
        if root:
            attributes |= {"user.id": fact.user, "langfuse.trace.name": "exact"}
        if fact.model:
            usage = f'{{"input":{fact.input_tokens},"output":{fact.output_tokens}}}'
            attributes |= {
                "langfuse.observation.type": "generation",
                "langfuse.observation.model.name": fact.model,
                "langfuse.observation.usage_details": usage,
            }
        if any(fact.repeated):
            attributes |= {
                "langfuse.observation.type": "agent",
                "langfuse.observation.model.name": "gpt-4o",
                "langfuse.observation.usage_details": (
                    f'{{"input":{fact.repeated[0]},"output":{fact.repeated[1]}}}'
                ),
            }
        if fact.failed:
            attributes["langfuse.observation.level"] = "ERROR"
        for key, value in attributes.items():
            span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()


@dataclass(frozen=True, slots=True)
class Totals:
    """What the API must say, in picodollars."""

    observations: int
    traces: int
    errors: int
    cost_pico: int
    cost_pico_by_model: dict[str, int]
    cost_pico_by_user: dict[str, int]


def totals(all_facts: Sequence[Fact]) -> Totals:
    by_model: Counter[str] = Counter()
    by_user: Counter[str] = Counter()
    for fact in all_facts:
        by_model[fact.model] += fact.cost_pico
        by_user[fact.user] += fact.cost_pico
    return Totals(
        observations=len(all_facts),
        traces=len({fact.trace for fact in all_facts}),
        errors=sum(fact.failed for fact in all_facts),
        cost_pico=sum(fact.cost_pico for fact in all_facts),
        cost_pico_by_model=dict(by_model),
        cost_pico_by_user=dict(by_user),
    )


def usd(pico: int) -> Decimal:
    return Decimal(pico) / PICODOLLARS
