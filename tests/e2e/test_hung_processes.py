"""Hung processes are detected and restarted, and totals stay exact."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

import httpx
import pytest

from tests.e2e.exact_load import Fact, facts, totals
from tests.e2e.test_exactness import becomes, figures, figures_of, send_all
from tests.fixtures.installation import Server, running_server
from tests.fixtures.suspended import suspend
from tests.fixtures.waiting import until as until_within

STALLED_AFTER_S = 10
until = partial(until_within, within_s=120.0)
OBSERVATIONS = 1_000


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("hung") / "data"
    with running_server(data_dir, TRACEMILL_STALLED_AFTER_S=str(STALLED_AFTER_S)) as server:
        yield server


@contextmanager
def stopped(installation: Server, role: str) -> Iterator[int]:
    """Without CPU while the block runs; its id."""
    pid = installation.pids()[role]
    suspend(pid)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            os.kill(pid, signal.SIGCONT)


def readiness(client: httpx.Client) -> dict[str, str]:
    """What is missing, by check; a public port that does not answer is missing itself."""
    try:
        answer = client.get("/api/public/ready", timeout=5)
    except httpx.TransportError as error:
        return {"edge": repr(error)}
    return {name: found for name, found in answer.json()["checks"].items() if found != "ok"}


def is_ready(client: httpx.Client) -> bool:
    return not readiness(client)


@pytest.mark.parametrize("role", ["store", "broker", "edge"])
def test_readiness_detects_a_stopped_process_without_traffic(
    installation: Server, client: httpx.Client, role: str
) -> None:
    until(lambda: is_ready(client))
    with stopped(installation, role):
        took_s = until(lambda: role in readiness(client))
    print(f"{role}: not ready after {took_s:.1f} s")
    assert took_s < 10
    until(lambda: is_ready(client))


def test_stopped_workers_are_restarted_and_every_total_is_exact(
    installation: Server, client: httpx.Client
) -> None:
    until(lambda: is_ready(client))
    start_ns = (time.time_ns() // 10**9 - 7200) * 10**9
    all_facts = facts(OBSERVATIONS, start_ns=start_ns, spread_ns=600 * 10**9, seed=1)
    some = OBSERVATIONS // 4
    for number, role in enumerate(("streams", "sink")):
        before, during = (all_facts[some * (2 * number + n) :][:some] for n in (0, 1))
        send(installation, before)
        with stopped(installation, role) as pid:
            took_s = until(lambda role=role: role in readiness(client))
            print(f"{role}: not ready after {took_s:.1f} s: {readiness(client)}")
            assert took_s < 10
            send(installation, during)
            again_s = until(lambda role=role, pid=pid: installation.pids().get(role, pid) != pid)
            print(f"{role}: started again after {took_s + again_s:.1f} s")
        until(lambda: is_ready(client))
        said = installation.output()
        assert f"{role} hangs: has not responded for" in said
        assert f"{role} was killed by SIGKILL; starting it again" in said
    expected = figures_of(totals(all_facts)) | {"spent by user": {}}
    becomes(expected, lambda: figures(client, start_ns, {}))


def send(installation: Server, some: list[Fact]) -> None:
    send_all(installation, some, Random(3))
