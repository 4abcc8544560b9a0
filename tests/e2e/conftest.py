"""A whole installation, started as a user starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.environments import Environments
from tests.fixtures.installation import Server, running_server


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`tracemill up` on a new data directory."""
    data_dir = tmp_path_factory.mktemp("installation") / "data"
    with running_server(data_dir, TRACEMILL_WEBHOOKS_ALLOW_PRIVATE="true") as server:
        yield server


@pytest.fixture(scope="session")
def environments() -> Environments:
    return Environments()
