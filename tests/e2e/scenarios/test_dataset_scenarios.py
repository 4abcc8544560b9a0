"""A dataset made of traces, and an experiment that is repeated with a second model."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx

from tests.compat.sdk_runs import VISIBLE_TIMEOUT_S
from tests.e2e.scenarios.conftest import Scenarios
from tests.e2e.scenarios.requirements import V3

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_runs_of_two_models_on_a_dataset_of_traces_are_compared(
    scenarios: Scenarios, client: httpx.Client, cli: Cli
) -> None:
    made = json.loads(scenarios.run("dataset_runs.py", V3).printed)
    items = client.get("/api/public/dataset-items", params={"datasetName": made["dataset"]})
    sources = {each["sourceTraceId"] for each in items.json()["data"]}
    assert sources == set(made["sources"])

    parameters = {"dataset": made["dataset"], "runs": "gpt-4o-mini,gpt-4o"}
    deadline_s = time.monotonic() + VISIBLE_TIMEOUT_S
    while True:
        found = client.get("/v1/experiments/compare", params=parameters).json()
        if not found["missing"] and is_scored(found):
            break
        assert time.monotonic() < deadline_s, found
        time.sleep(0.05)
    weak, strong = found["runs"]
    assert (weak["items"], weak["failed"], strong["items"]) == (3, 0, 3)
    # 200 input, 1,000 cached and 300 output tokens of gpt-4o-mini, and of gpt-4o.
    assert Decimal(weak["cost_usd"]["mean"]) == Decimal("0.000285")
    assert Decimal(strong["cost_usd"]["mean"]) == Decimal("0.00475")
    assert (weak["scores"]["correctness"]["mean"], strong["scores"]["correctness"]["mean"]) == (
        1 / 3, 1,
    )  # fmt: skip
    assert len(found["improvements"]) == 2
    assert found["regressions"] == []

    compare = ("experiments", "compare", "gpt-4o-mini", "gpt-4o", "--dataset", made["dataset"])
    passed = cli(*compare, "--fail-if", "mean(correctness) < 0.8")
    assert passed.returncode == 0, passed.stderr
    assert "gpt-4o" in passed.stdout
    reverse = (*compare[:2], "gpt-4o", "gpt-4o-mini", *compare[4:])
    failed = cli(*reverse, "--fail-if", "mean(correctness) < 0.8")
    assert failed.returncode == 1
    assert "failed: mean(correctness) < 0.8" in failed.stderr


def is_scored(found: dict[str, Any]) -> bool:
    return all(
        each["scores"].get("correctness", {}).get("count") == 3
        and Decimal(each["cost_usd"]["mean"] or 0) > 0
        for each in found["runs"]
    )
