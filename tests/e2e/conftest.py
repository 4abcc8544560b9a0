"""A whole installation, started as a user starts it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.environments import Environments
from tests.e2e.node_environments import NodeEnvironments
from tests.fixtures.installation import Server, running_server


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`tracemill up` on a new data directory, patient: SDKs would complain of the 503 that a slow machine earns them."""
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
