"""Delete Kafka's data of a stopped installation, recover it, and compare everything with before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from standardwebhooks import Webhook

from tests.e2e.exact_load import Fact, export, facts, totals, usd
from tests.e2e.test_exactness import becomes, figures, figures_of
from tests.e2e.webhook_receiver import Receiver, receiver
from tests.fixtures.daytime import daytime_zone
from tests.fixtures.installation import Server, running_server

ENVIRONMENT = "exact"
SPANS_PER_BODY = 250
COMMAND_WITHIN_S = 120.0
DELIVERED_WITHIN_S = 60.0
EX_CONFIG = 78

Say = Callable[[str], None]


def lose_and_recover(
    directory: Path, *, observations: int, print_line: Say, recover_twice: bool = False
) -> None:
    """Send a known load, delete the log, see the start refused, recover, send again, compare.

    Raises:
        AssertionError: something is not as before.
    """
    data_dir = directory / "data"
    start_ns = (time.time_ns() // 10**9 - 7200) * 10**9
    all_facts = facts(observations, start_ns=start_ns, spread_ns=600 * 10**9, seed=7)
    first, later = all_facts[: observations // 2], all_facts[observations // 2 :]
    environment = {"TRACEMILL_WEBHOOKS_ALLOW_PRIVATE": "true"}
    with receiver() as hook:
        with running_server(data_dir, **environment) as server, _client(server) as client:
            secret, budgets = _arrange(client, hook, first, all_facts)
            _send(client, first)
            becomes(_expected(first, budgets), lambda: figures(client, start_ns, budgets))
            _delivered(hook, len(budgets))
            before = _control(client)
        print_line(f"sent {len(first)} events, stopped, deleting the log")
        shutil.rmtree(data_dir / "kafka")

        refused = _run("up", "--data-dir", str(data_dir))
        assert refused.returncode == EX_CONFIG, refused
        lines = refused.stderr.strip().splitlines()
        assert len(lines) == 1, lines
        assert "is not the one that the store was filled from" in lines[0]
        assert "tracemill recover" in lines[0]
        print_line(f"refused: {lines[0]}")

        for expected in ("recovered: ", "nothing to recover")[: 1 + recover_twice]:
            done = _run("recover", "--yes", "--data-dir", str(data_dir))
            print_line(done.stdout.strip())
            assert done.returncode == 0, done
            assert expected in done.stdout

        with running_server(data_dir, **environment) as server, _client(server) as client:
            assert _control(client) == before, "the control plane is as before"
            becomes(_expected(first, budgets), lambda: figures(client, start_ns, budgets))
            _send(client, first)  # repeats change nothing
            _send(client, later)
            becomes(_expected(all_facts, budgets), lambda: figures(client, start_ns, budgets))
            _delivered(hook, 2 * len(budgets))
            assert figures(client, start_ns, budgets) == _expected(all_facts, budgets), "stays so"
    for delivery in hook.deliveries:
        Webhook(secret).verify(delivery.raw, delivery.headers)
    print_line(f"{len(all_facts)} events exact, {len(hook.deliveries)} deliveries signed as before")


def _arrange(
    client: httpx.Client, hook: Receiver, first: list[Fact], all_facts: list[Fact]
) -> tuple[str, dict[str, str]]:
    """Create a webhook and a budget per user; return the secret and the budgets.

    ``first`` crosses one threshold, all together cross another.
    """
    created = client.post(
        "/v1/webhooks", json={"url": hook.url, "events": ["budget.threshold_crossed"]}
    )
    assert created.status_code == 201, created.text
    half, whole = totals(first).cost_pico_by_user, totals(all_facts).cost_pico_by_user
    budgets = {}
    for user, limit_pico in whole.items():
        low = half[user] / limit_pico / 2
        answer = client.post(
            "/v1/budgets",
            json={
                "name": user,
                "scope": {"user_id": user},
                "period": "day",
                "time_zone": daytime_zone(),
                "limit_usd": str(usd(limit_pico)),
                "thresholds": [round(low, 3), 0.999],
            },
        )
        assert answer.status_code == 201, answer.text
        budgets[answer.json()["id"]] = user
    return created.json()["secret"], budgets


def _control(client: httpx.Client) -> dict[str, Any]:
    return {path: client.get(path).json() for path in ("/v1/webhooks", "/v1/budgets")}


def _expected(sent: list[Fact], budgets: dict[str, str]) -> dict[str, Any]:
    expected = figures_of(totals(sent))
    assert set(expected["spent by user"]) == set(budgets.values())
    return expected


def _send(client: httpx.Client, sent: list[Fact]) -> None:
    for at in range(0, len(sent), SPANS_PER_BODY):
        body = export(sent[at : at + SPANS_PER_BODY], ENVIRONMENT)
        for _ in range(100):
            answer = client.post(
                "/api/public/otel/v1/traces",
                content=body,
                headers={"content-type": "application/x-protobuf"},
            )
            if answer.status_code == 200:
                break
            assert answer.status_code == 503, answer.text
            time.sleep(0.2)


def _delivered(hook: Receiver, wanted: int) -> None:
    deadline_s = time.monotonic() + DELIVERED_WITHIN_S
    while len({each.id for each in hook.deliveries}) < wanted:
        assert time.monotonic() < deadline_s, f"{len(hook.deliveries)} of {wanted} webhooks came"
        time.sleep(0.1)
    assert len({each.id for each in hook.deliveries}) == wanted


def _client(server: Server) -> httpx.Client:
    return httpx.Client(
        base_url=server.url, auth=(server.public_key, server.secret_key), timeout=30
    )


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_WITHIN_S,
        check=False,
        env=os.environ.copy(),
    )
