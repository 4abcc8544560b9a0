"""A whole installation, started as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.environments import Environments
from tests.e2e.node_environments import NodeEnvironments
from tests.fixtures.installation import Server, running_server

WITHIN_S = 60.0
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`tracemill up` on a new data directory, with long timeouts, so that SDKs get no 503."""
    data_dir = tmp_path_factory.mktemp("installation") / "data"
    with running_server(
        data_dir,
        TRACEMILL_GATEWAY_DELIVERY_TIMEOUT_S="30",
        TRACEMILL_GATEWAY_TURN_TIMEOUT_S="30",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def client(installation: Server) -> Iterator[httpx.Client]:
    """Speaks to the installation with its first key."""
    auth = (installation.public_key, installation.secret_key)
    with httpx.Client(base_url=installation.url, auth=auth, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def environments() -> Environments:
    return Environments()


@pytest.fixture(scope="session")
def node_environments() -> NodeEnvironments:
    return NodeEnvironments()


@pytest.fixture(scope="module")
def cli(installation: Server) -> Cli:
    arguments = Path(f"/proc/{installation.process.pid}/cmdline").read_bytes().split(b"\0")
    data_dir = os.fsdecode(arguments[arguments.index(b"--data-dir") + 1])

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy", *words],
            env={**os.environ, "TRACEMILL_DATA_DIR": data_dir, **environment},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run
