"""Unmodified SDKs create datasets and run experiments on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compat.environments import Environments
from tests.compat.sdk_runs import run_program
from tests.fixtures.installation import Server
from tests.fixtures.waiting import until

PROGRAMS = Path(__file__).parent / "sdk_programs"
V2, V3, V4, V5 = "langfuse==2.60.10", "langfuse==3.15.0", "langfuse==4.18.0", "langfuse==5.0.4"
COUNT = 60


def report(
    installation: Server, environments: Environments, requirement: str, *command: str
) -> dict[str, Any]:
    python = str(environments.python(requirement))
    found: dict[str, Any] = json.loads(run_program(installation, [python, *command]))
    return found


def test_datasets_and_runs_of_version_2(
    installation: Server, client: httpx.Client, environments: Environments
) -> None:
    found = report(installation, environments, V2, str(PROGRAMS / "datasets_v2.py"))
    assert found == {
        "dataset": "folder/set of v2",
        "inputs": [2, 1, 0],
        "one": 1,
        "run": ["v2-0", "v2-1", "v2-2"],
        "runs": ["first", "second"],
    }


@pytest.mark.parametrize("requirement", [V3, V4, V5])
def test_datasets_and_experiments(
    requirement: str, installation: Server, client: httpx.Client, environments: Environments
) -> None:
    program = str(PROGRAMS / "datasets_v4.py")
    found = report(installation, environments, requirement, program, str(COUNT))
    assert found["inputs"] == list(reversed(range(COUNT)))
    assert found["outputs"] == [COUNT - 3, COUNT - 2, COUNT - 1]
    assert found["median_ms"] < 1_000
    path = f"/api/public/datasets/{found['dataset'].replace('/', '%2F')}/runs"

    def experiments() -> list[str]:
        runs = client.get(path).json()["data"]
        return [each["id"] for each in runs if each["name"].startswith("experiment")]

    # Spans record the run, and are stored a moment after they were accepted.
    until(lambda: bool(experiments()), "the run of the experiment")
    assert experiments() == [found["run_id"]]
