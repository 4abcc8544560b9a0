"""A project is deleted from a running installation, whose processes are killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.installation import Server, running_server
from tests.producers.gateway.test_otlp_route import export

WITHIN_S = 120.0
PROTOBUF = {"content-type": "application/x-protobuf"}
PROJECTS = "/v1/admin/projects"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deletion") / "data"


@pytest.fixture(scope="module")
def installation(data_dir: Path) -> Iterator[Server]:
    with running_server(data_dir, TRACEMILL_DELETION_SETTLE_S="3") as server:
        yield server


@pytest.fixture(scope="module")
def admin(installation: Server, data_dir: Path) -> Iterator[httpx.Client]:
    secret = (data_dir / "credentials" / "admin").read_text().strip()
    with httpx.Client(base_url=installation.url, auth=("admin", secret), timeout=30) as client:
        yield client


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        with contextlib.suppress(httpx.TransportError):  # the edge is restarted
            if holds():
                return
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.1)


def traces_of(client: httpx.Client) -> int:
    answer = client.get("/api/public/traces")
    return int(answer.json()["meta"]["totalItems"]) if answer.status_code == 200 else -1


def send(client: httpx.Client, spans: int) -> int:
    body = export(spans).SerializeToString()
    return client.post("/v1/traces", content=body, headers=PROTOBUF).status_code


def test_all_of_it_is_gone_and_nothing_of_another(
    installation: Server, admin: httpx.Client, client: httpx.Client
) -> None:
    assert admin.post(PROJECTS, json={"id": "gone", "name": "Gone"}).status_code == 201
    key = admin.post(f"{PROJECTS}/gone/keys", json={}).json()
    auth = (key["public_key"], key["secret_key"])
    with httpx.Client(base_url=installation.url, auth=auth, timeout=30) as of_project:
        budget = {"name": "b", "period": "day", "limit_usd": "1", "thresholds": [0.5]}
        assert of_project.post("/v1/budgets", json=budget).status_code == 201
        assert send(of_project, 200) == send(client, 200) == 200
        until(lambda: traces_of(of_project) == traces_of(client) == 200)
        assert send(of_project, 100) == 200  # may be under way when the deletion begins
        assert admin.delete(f"{PROJECTS}/gone").status_code == 202
        assert send(of_project, 1) == 401

        def state() -> dict[str, Any]:
            return dict(admin.get(f"{PROJECTS}/gone").json())

        for role in ("sink", "streams", "store"):
            with contextlib.suppress(KeyError, ProcessLookupError):
                os.kill(installation.pids()[role], signal.SIGKILL)
        until(lambda: state().get("state") == "deleted")
        assert send(of_project, 1) == 401
    until(lambda: traces_of(client) == 200)
    assert admin.post(PROJECTS, json={"id": "gone", "name": "Again"}).status_code == 409
