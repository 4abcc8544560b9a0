"""Let a function respond to the requests of commands, instead of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest


def mock_api(
    monkeypatch: pytest.MonkeyPatch, respond: Callable[[httpx.Request], httpx.Response]
) -> None:
    """Pass the requests of commands to ``respond`` until the end of the test."""
    client, transport = httpx.Client, httpx.MockTransport(respond)

    def new_client(**options: Any) -> httpx.Client:
        return client(**options | {"transport": transport})

    monkeypatch.setattr("deploy.api_requests.httpx.Client", new_client)
    monkeypatch.setenv("TRACEMILL_URL", "http://tracemill")
