"""What unmodified JavaScript SDKs send to a whole installation can be read back."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compat.node_environments import NodeEnvironments
from tests.compat.sdk_runs import read_trace, run_program
from tests.fixtures.installation import Server

PROGRAMS = Path(__file__).parent / "javascript_programs"
V3, V4, V5 = "langfuse_v3", "langfuse_v4", "langfuse_v5"

GPT_4O_MINI_COST = Decimal("0.00036")
"""1200 input tokens at 0.15 and 300 output tokens at 0.60 USD per million."""
TIMES = ("startTime", "endTime")
RERANK_COSTS = {"input": Decimal("0.001"), "output": Decimal("0.002"), "total": Decimal("0.003")}


@pytest.mark.parametrize("version", [V3, V4, V5])
def test_what_a_javascript_sdk_sends_is_read_back(
    version: str, installation: Server, client: httpx.Client, node_environments: NodeEnvironments
) -> None:
    made = json.loads(run_program(installation, node_environments.command(PROGRAMS / version)))
    assert made["projects"] == 1
    trace = read_trace(client, made["trace"], observations=6, scores=2)

    assert_trace_is_as_sent(trace)
    by_name = {each["name"]: each for each in trace["observations"]}
    ids = {name: each["id"] for name, each in by_name.items()}
    assert ids == made["observations"]
    assert_nested_and_typed(by_name, ids, ingestion=version == V3)
    assert_content_is_as_sent(by_name)
    assert_scores_are_as_sent(trace, ids)
    for name, observation in by_name.items():
        alone = client.get(f"/api/public/observations/{observation['id']}").json()
        assert (alone["traceId"], alone["name"]) == (made["trace"], name)


@pytest.mark.parametrize("version", [V3, V4, V5])
def test_lock_files_of_npm_hold_hashes_and_no_registry(version: str) -> None:
    lock = json.loads((PROGRAMS / version / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


def assert_trace_is_as_sent(trace: dict[str, Any]) -> None:
    assert trace["name"] == "support-chat"
    assert trace["userId"] == "ada"
    assert trace["sessionId"] == "session-1"
    assert trace["tags"] == ["alpha", "beta"]
    assert trace["metadata"]["plan"] == "pro"
    assert trace["release"] == "2026.11"
    assert trace["environment"] == "staging"
    assert trace["input"] == {"question": "Where is my invoice?"}
    assert trace["output"] == {"answer": "Under Billing."}
    assert Decimal(str(trace["totalCost"])) == GPT_4O_MINI_COST + RERANK_COSTS["total"]


def assert_nested_and_typed(
    by_name: dict[str, dict[str, Any]], ids: dict[str, str], ingestion: bool
) -> None:
    chain, answer = ids["answer-question"], ids["write-answer"]
    assert {name: each["parentObservationId"] for name, each in by_name.items()} == {
        "answer-question": None,
        "search": chain,
        "write-answer": chain,
        "rerank": answer,
        "send-mail": chain,
        "shown": chain,
    }
    assert {name: each["type"] for name, each in by_name.items()} == {
        "answer-question": "SPAN",
        "search": "SPAN" if ingestion else "RETRIEVER",
        "write-answer": "GENERATION",
        "rerank": "GENERATION",
        "send-mail": "SPAN" if ingestion else "TOOL",
        "shown": "EVENT",
    }
    assert {each["environment"] for each in by_name.values()} == {"staging"}
    for each in by_name.values():
        start, end = (each[key] and datetime.fromisoformat(each[key]) for key in TIMES)
        assert (end is None) == (each["type"] == "EVENT" and ingestion)
        assert end is None or start <= end


def assert_content_is_as_sent(by_name: dict[str, dict[str, Any]]) -> None:
    chain, search = by_name["answer-question"], by_name["search"]
    assert chain["input"] == {"question": "Where is my invoice?"}
    assert chain["output"] == "Under Billing."
    assert (search["input"], search["output"]) == ("invoice", ["page 1", "page 2"])
    assert search["metadata"]["index"] == "docs"

    answer = by_name["write-answer"]
    assert answer["model"] == "gpt-4o-mini"
    assert answer["modelParameters"] == {"temperature": 0.2}
    assert answer["input"] == [{"role": "user", "content": "Where is my invoice?"}]
    assert answer["output"] == "Under Billing."
    assert answer["usageDetails"] == {"input": 1200, "output": 300, "total": 1500}
    assert Decimal(str(answer["calculatedTotalCost"])) == GPT_4O_MINI_COST

    rerank = by_name["rerank"]
    assert (rerank["model"], rerank["input"], rerank["output"]) == ("in-house-reranker", "x", "y")
    assert rerank["usageDetails"] == {"input": 10, "output": 5, "total": 15}
    costs = {key: Decimal(str(value)) for key, value in rerank["costDetails"].items()}
    assert costs == RERANK_COSTS

    failing, shown = by_name["send-mail"], by_name["shown"]
    assert (failing["level"], failing["statusMessage"]) == ("ERROR", "mailbox full")
    assert (shown["level"], shown["input"]) == ("DEBUG", {"where": "chat"})


def assert_scores_are_as_sent(trace: dict[str, Any], ids: dict[str, str]) -> None:
    scores = {each["name"]: each for each in trace["scores"]}
    helpful, tone = scores["helpful"], scores["tone"]
    assert (helpful["value"], helpful["dataType"]) == (1, "BOOLEAN")
    assert (helpful["observationId"], helpful["comment"]) == (None, "thanks")
    assert (tone["stringValue"], tone["dataType"]) == ("friendly", "CATEGORICAL")
    assert tone["observationId"] == ids["write-answer"]
