"""What unmodified SDKs, each in its own environment, send to an installation can be read back."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compat.environments import Environments
from tests.compat.sdk_runs import read_trace, run_program, wait_for_scores
from tests.fixtures.installation import Server

PROGRAMS = Path(__file__).parent / "sdk_programs"
READERS = Path(__file__).parent / "sdk_readers"

V2, V3, V4, V5 = "langfuse==2.60.10", "langfuse==3.15.0", "langfuse==4.18.0", "langfuse==5.0.4"
OPENTELEMETRY = "opentelemetry-exporter-otlp-proto-http==1.45.2"
LANGFUSE_PROGRAMS = {
    V2: "langfuse_v2.py",
    V3: "langfuse_v3.py",
    V4: "langfuse_v4.py",
    V5: "langfuse_v4.py",
}
LANGFUSE_READERS = {
    V2: "langfuse_v2.py",
    V3: "langfuse_v3.py",
    V4: "langfuse_v4.py",
    V5: "langfuse_v5.py",
}

GPT_4O_MINI_COST = Decimal("0.00036")
"""1200 input tokens at 0.15 and 300 output tokens at 0.60 USD per million."""


@pytest.mark.parametrize("requirement", LANGFUSE_PROGRAMS)
def test_what_a_langfuse_sdk_sends_is_read_back(
    requirement: str, installation: Server, client: httpx.Client, environments: Environments
) -> None:
    python = environments.python(requirement)
    program = PROGRAMS / LANGFUSE_PROGRAMS[requirement]
    trace_id = run_program(installation, [str(python), str(program)])
    trace = read_trace(client, trace_id, observations=5, scores=1)

    assert trace["name"] == "support-chat"
    assert trace["userId"] == "ada"
    assert trace["sessionId"] == "session-1"
    assert trace["tags"] == ["alpha", "beta"]
    assert trace["metadata"]["plan"] == "pro"
    assert trace["release"] == "2026.11"
    assert trace["input"] == {"question": "Where is my invoice?"}
    expected_output: Any = (
        "Under Billing." if requirement in {V4, V5} else {"answer": "Under Billing."}
    )
    assert trace["output"] == expected_output
    assert Decimal(str(trace["totalCost"])) == GPT_4O_MINI_COST + Decimal("0.003")

    by_name = {each["name"]: each for each in trace["observations"]}
    chain, search, answer = by_name["answer-question"], by_name["search"], by_name["write-answer"]
    assert chain["type"] == "SPAN"
    assert chain["parentObservationId"] is None
    assert chain["output"] == "Under Billing."
    assert {each["parentObservationId"] for each in trace["observations"]} == {None, chain["id"]}

    assert search["type"] == ("SPAN" if requirement == V2 else "RETRIEVER")
    assert search["input"] == "invoice"
    assert search["output"] == ["page 1", "page 2"]
    assert search["metadata"]["index"] == "docs"

    assert answer["type"] == "GENERATION"
    assert answer["model"] == "gpt-4o-mini"
    # Version 2 itself turns parameters into strings before it sends them.
    assert answer["modelParameters"] == {"temperature": "0.2" if requirement == V2 else 0.2}
    assert answer["input"] == [{"role": "user", "content": "Where is my invoice?"}]
    assert answer["output"] == "Under Billing."
    assert answer["usageDetails"] == {"input": 1200, "output": 300, "total": 1500}
    assert Decimal(str(answer["calculatedTotalCost"])) == GPT_4O_MINI_COST

    given = by_name["rerank"]
    assert given["usageDetails"] == {"input": 10, "output": 5, "total": 15}
    assert {key: Decimal(str(value)) for key, value in given["costDetails"].items()} == {
        "input": Decimal("0.001"),
        "output": Decimal("0.002"),
        "total": Decimal("0.003"),
    }

    failing = by_name["send-mail"]
    assert (failing["level"], failing["statusMessage"]) == ("ERROR", "mailbox full")

    (score,) = trace["scores"]
    assert (score["name"], score["value"], score["dataType"]) == ("helpful", 1, "BOOLEAN")
    assert score["comment"] == "thanks"


@pytest.mark.parametrize("requirement", LANGFUSE_READERS)
def test_a_langfuse_sdk_reads_traces_with_scores_of_every_type(
    requirement: str, installation: Server, client: httpx.Client, environments: Environments
) -> None:
    """Its models refuse a whole answer over one field that they do not expect."""
    python = str(environments.python(requirement))
    trace_id = run_program(installation, [python, str(PROGRAMS / LANGFUSE_PROGRAMS[requirement])])
    given = {"NUMERIC": 0.5, "CATEGORICAL": "friendly", "CORRECTION": "It is under Billing."}
    if requirement != V2:
        given["TEXT"] = "well put"  # version 2 knows no such scores
    for data_type, value in given.items():
        score = {"traceId": trace_id, "name": "x", "dataType": data_type, "value": value}
        assert client.post("/api/public/scores", json=score).is_success
    wait_for_scores(client, trace_id, len(given) + 1)
    read_trace(client, trace_id, observations=5, scores=len(given))

    reader = str(READERS / LANGFUSE_READERS[requirement])
    found = json.loads(run_program(installation, [python, reader, trace_id]))

    names = ["answer-question", "rerank", "search", "send-mail", "write-answer"]
    assert found["observations"] == names
    if requirement == V5:
        assert found["scores"] == {**given, "BOOLEAN": True}
        return
    values = {**given, "BOOLEAN": 1, "CATEGORICAL": 0, "CORRECTION": 0}
    of_traces = {each: values[each] for each in values if each != "CORRECTION"}
    assert found["scores"] == (of_traces if requirement == V2 else values)
    assert found["in the trace"] == of_traces
    assert found["observations of the trace"] == names


@pytest.mark.parametrize("requirement", ["langfuse==2.27.3", "langfuse==2.28.2"])
def test_a_call_that_is_longer_than_the_interval_of_sending_ends_in_its_trace(
    requirement: str, installation: Server, client: httpx.Client, environments: Environments
) -> None:
    python = str(environments.python(requirement))
    trace_id = run_program(installation, [python, str(PROGRAMS / "langfuse_v2_27.py")])

    def is_ended(trace: dict[str, Any]) -> bool:
        return all(each["endTime"] for each in trace["observations"])

    trace = read_trace(client, trace_id, observations=2, scores=0, when=is_ended)
    by_name = {each["name"]: each for each in trace["observations"]}
    answer = by_name["write-answer"]
    assert answer["output"] == "Under Billing."
    assert answer["usageDetails"] == {"input": 1200, "output": 300, "total": 1500}
    assert Decimal(str(trace["totalCost"])) == GPT_4O_MINI_COST
    assert 0.4 < answer["latency"] < by_name["answer-question"]["latency"]
    for observation in trace["observations"]:
        assert client.get(f"/api/public/traces/{observation['id']}").status_code == 404


def test_what_the_opentelemetry_sdk_sends_is_read_back(
    installation: Server, client: httpx.Client, environments: Environments
) -> None:
    command = [str(environments.python(OPENTELEMETRY)), str(PROGRAMS / "opentelemetry_sdk.py")]
    trace_id = run_program(installation, command, OTEL_EXPORTER_OTLP_TIMEOUT="30")  # seconds
    trace = read_trace(client, trace_id, observations=4, scores=0)

    assert trace["name"] == "answer-question"
    assert (trace["userId"], trace["sessionId"]) == ("ada", "session-1")
    assert trace["input"] == {"question": "Where is my invoice?"}
    assert Decimal(str(trace["totalCost"])) == GPT_4O_MINI_COST
    by_name = {each["name"]: each for each in trace["observations"]}
    assert {name: each["type"] for name, each in by_name.items()} == {
        "answer-question": "SPAN",
        "search": "RETRIEVER",
        "write-answer": "GENERATION",
        "send-mail": "TOOL",
    }
    assert by_name["write-answer"]["usageDetails"] == {"input": 1200, "output": 300, "total": 1500}
    assert by_name["write-answer"]["modelParameters"] == {"temperature": 0.2}
    assert by_name["search"]["output"] == ["page 1", "page 2"]
    assert by_name["send-mail"]["level"] == "ERROR"
    assert by_name["send-mail"]["statusMessage"] == "mailbox full"
