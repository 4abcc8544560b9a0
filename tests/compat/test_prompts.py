"""Prompts through unmodified SDKs, each in its own environment, and over two processes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.compat.environments import Environments
from tests.compat.node_environments import NodeEnvironments
from tests.compat.sdk_runs import read_trace, run_program
from tests.compat.test_unmodified_sdks import V2, V3, V4, V5
from tests.fixtures.installation import Server

PYTHON_PROGRAM = Path(__file__).parent / "sdk_programs" / "langfuse_prompts.py"
JAVASCRIPT = Path(__file__).parent / "javascript_programs"
PROMPTS = "/api/public/v2/prompts"


@pytest.mark.parametrize("requirement", [V2, V3, V4, V5])
def test_a_python_sdk_uses_prompts_and_links_them_to_generations(
    requirement: str, installation: Server, client: httpx.Client, environments: Environments
) -> None:
    python = str(environments.python(requirement))
    made = json.loads(run_program(installation, [python, str(PYTHON_PROGRAM)]))
    trace = read_trace(client, made["trace"], observations=1, scores=0)
    (call,) = trace["observations"]
    prompt = client.get("/api/public/prompts", params={"name": made["name"], "version": 1}).json()
    assert {key: call[key] for key in ("promptName", "promptVersion", "promptId")} == {
        "promptName": made["name"],
        "promptVersion": 1,
        "promptId": prompt["id"],
    }


@pytest.mark.parametrize("version", ["langfuse_v3", "langfuse_v4", "langfuse_v5"])
def test_a_javascript_sdk_uses_prompts(
    version: str, installation: Server, client: httpx.Client, node_environments: NodeEnvironments
) -> None:
    command = node_environments.command(JAVASCRIPT / version, JAVASCRIPT / "prompts.mjs")
    name = json.loads(run_program(installation, command))["name"]
    listed = client.get(PROMPTS, params={"name": name}).json()["data"]
    assert [each["tags"] for each in listed] == [["a"]]


def test_concurrent_creations_through_the_log_get_different_versions(client: httpx.Client) -> None:
    def create(number: int) -> int:
        body = {"name": "concurrent", "prompt": str(number), "labels": ["production"]}
        response = client.post(PROMPTS, json=body)
        assert response.status_code == 201, response.text
        return int(response.json()["version"])

    with ThreadPoolExecutor(8) as threads:
        versions = sorted(threads.map(create, range(24)))
    assert versions == list(range(1, 25))
    labels = [
        client.get(f"{PROMPTS}/concurrent", params={"version": each}).json()["labels"]
        for each in versions
    ]
    assert [each for each in labels if each] == [["production", "latest"]]
