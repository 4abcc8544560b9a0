"""Generate the traces of a retrieval-augmented chat application as OTLP/JSON spans.

Attributes follow OpenTelemetry's semantic conventions for generative AI. The seed determines all
values, including ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

USERS: Final = tuple(f"user-{number:02d}" for number in range(1, 13))
QUESTIONS: Final = (
    "How do I rotate an API key?",
    "Why was I charged twice this month?",
    "Which plan includes single sign-on?",
    "Can I export my data as Parquet?",
    "The upload fails at 99 %. What now?",
    "How long are invoices kept?",
)
ANSWER_MODELS: Final = ("gpt-4o-mini", "gpt-4o", "claude-3-5-haiku-latest", "gemini-2.0-flash")
MODEL_WEIGHTS: Final = (6, 2, 3, 3)
SLOW_PERIOD: Final = (0.45, 0.60)
"""Period in which generations are slow: its beginning and end as shares of the time range."""
ERROR_PERIOD: Final = (0.75, 0.85)

MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""

STATUS_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class DemoTrace:
    """One trace: its spans in OTLP/JSON, and its scores."""

    spans: list[dict[str, Any]]
    scores: list[dict[str, Any]]


def demo_traces(count: int, start_ns: int, end_ns: int, seed: int) -> Iterator[DemoTrace]:
    """Yield traces that start evenly between ``start_ns`` and ``end_ns`` (Unix nanoseconds)."""
    random = Random(seed)  # noqa: S311  a demo, not a secret
    for number in range(count):
        share = number / max(count - 1, 1)
        yield _trace(random, start_ns + int(share * (end_ns - start_ns)), share)


def _trace(random: Random, start_ns: int, share: float) -> DemoTrace:
    trace_id = f"{random.getrandbits(128):032x}"
    user = USERS[min(int(random.expovariate(0.35)), len(USERS) - 1)]
    session = f"{user}-session-{random.randint(1, 5)}"
    question = random.choice(QUESTIONS)
    slow = SLOW_PERIOD[0] <= share < SLOW_PERIOD[1]
    failing = ERROR_PERIOD[0] <= share < ERROR_PERIOD[1] and random.random() < 0.5

    def span(
        name: str, begin_ns: int, took_ms: float, parent: str, **attributes: Any
    ) -> dict[str, Any]:
        return {
            "traceId": trace_id,
            "spanId": f"{random.getrandbits(64):016x}",
            "parentSpanId": parent,
            "name": name,
            "kind": 1,
            "startTimeUnixNano": str(begin_ns),
            "endTimeUnixNano": str(begin_ns + int(took_ms * MS)),
            "attributes": [
                {"key": key.replace("__", "."), "value": _any_value(value)}
                for key, value in attributes.items()
            ],
        }

    retrieve_ms = random.lognormvariate(3.9, 0.4)
    rewrite_ms = random.lognormvariate(5.6, 0.3)
    answer_ms = random.lognormvariate(6.9, 0.35) * (5 if slow else 1)
    total_ms = rewrite_ms + retrieve_ms + answer_ms + 4
    root = span(
        "answer-question",
        start_ns,
        total_ms,
        "",
        langfuse__observation__type="chain",
        langfuse__trace__name="support-chat",
        langfuse__trace__tags=["demo", "rag"],
        user__id=user,
        session__id=session,
        langfuse__observation__input=question,
        langfuse__observation__output="" if failing else f"Here is what I found about: {question}",
    )
    root_id = root["spanId"]
    rewrite_tokens = random.randint(40, 90)
    rewrite = span(
        "rewrite-question",
        start_ns + MS,
        rewrite_ms,
        root_id,
        gen_ai__operation__name="chat",
        gen_ai__request__model="gpt-4o-mini",
        gen_ai__usage__input_tokens=rewrite_tokens,
        gen_ai__usage__output_tokens=random.randint(10, 30),
        input=question,
        output=question.lower(),
    )
    retrieve_start_ns = start_ns + int((1 + rewrite_ms) * MS)
    retrieve = span(
        "search-documents",
        retrieve_start_ns,
        retrieve_ms,
        root_id,
        langfuse__observation__type="retriever",
        input=question,
        output=f"{random.randint(2, 8)} passages",
    )
    model = random.choices(ANSWER_MODELS, MODEL_WEIGHTS)[0]
    input_tokens = random.randint(600, 4_000)
    answer = span(
        "write-answer",
        retrieve_start_ns + int(retrieve_ms * MS),
        answer_ms,
        root_id,
        gen_ai__operation__name="chat",
        gen_ai__request__model=model,
        gen_ai__request__temperature=0.2,
        gen_ai__usage__input_tokens=input_tokens,
        gen_ai__usage__output_tokens=0 if failing else random.randint(80, 600),
        gen_ai__usage__cache_read_input_tokens=random.choice((0, input_tokens // 2)),
        input=question,
        output="" if failing else "Here is what I found.",
    )
    if failing:
        answer["status"] = {"code": STATUS_ERROR, "message": "429: the provider is overloaded"}
        root["status"] = {"code": STATUS_ERROR, "message": "no answer"}
    scores: list[dict[str, Any]] = []
    if random.random() < 0.4:
        happy = 0.0 if failing or (slow and random.random() < 0.6) else 1.0
        scores.append(
            {
                "id": f"{random.getrandbits(64):016x}",
                "traceId": trace_id,
                "name": "user-feedback",
                "value": happy,
                "dataType": "BOOLEAN",
            }
        )
    return DemoTrace([rewrite, retrieve, answer, root], scores)


def _any_value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_any_value(item) for item in value]}}
        case _:
            return {"stringValue": str(value)}
