"""Rules and budgets fire after a restart of the streams while the store does not answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import pytest

from tests.e2e.exact_load import facts, totals
from tests.e2e.test_exactness import becomes, figures, figures_of, send_all
from tests.e2e.webhook_receiver import Receiver, receiver
from tests.fixtures.installation import Server, running_server
from tests.fixtures.suspended import suspend

OBSERVATIONS = 1_000
WITHIN_S = 90.0


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The store is suspended for longer than a process may hang; few traces are in memory."""
    data_dir = tmp_path_factory.mktemp("outage") / "data"
    with running_server(
        data_dir,
        TRACEMILL_WEBHOOKS_ALLOW_PRIVATE="true",
        TRACEMILL_STALLED_AFTER_S="600",
        TRACEMILL_STREAMS_RESIDENT_OBSERVATIONS_MAX="100",
    ) as server:
        yield server


def post(client: httpx.Client, path: str, body: dict[str, Any]) -> str:
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def events_of(hook: Receiver, rule_id: str) -> list[str]:
    bodies = [delivery.body for delivery in hook.deliveries]
    return [body["type"] for body in bodies if body["data"]["rule_id"] == rule_id]


def wait_for(holds: Any, what: str) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.1)


def test_alerts_arrive_and_totals_are_exact(installation: Server, client: httpx.Client) -> None:
    start_ns = (time.time_ns() // 10**9 - 120) * 10**9
    all_facts = facts(OBSERVATIONS, start_ns=start_ns, spread_ns=60 * 10**9, seed=5)
    half, three_quarters = OBSERVATIONS // 2, OBSERVATIONS * 3 // 4
    before, during, later = (
        all_facts[:half],
        all_facts[half:three_quarters],
        all_facts[three_quarters:],
    )
    spent_pico = sum(totals(before).cost_pico_by_model.values())
    with receiver() as hook:
        post(
            client,
            "/v1/webhooks",
            {"url": hook.url, "events": ["budget.threshold_crossed", "alert.firing"]},
        )
        limit = f"{(spent_pico + 10**9) // 10**9 / 1_000:.3f}"
        budget = {"name": "all", "period": "total", "limit_usd": limit, "thresholds": ["1", "1.7"]}
        budget_id = post(client, "/v1/budgets", budget)
        rule = {
            "name": "many", "metric": "cost", "comparison": ">", "threshold": limit, "window": "1h",
        }  # fmt: skip
        rule_id = post(client, "/v1/alert-rules", rule)
        send_all(installation, before, Random(1))
        becomes(
            figures_of(totals(before)) | {"spent by user": {}},
            lambda: figures(client, start_ns, {}),
        )
        assert hook.deliveries == []

        pids = installation.pids()
        suspend(pids["store"])
        try:
            os.kill(pids["streams"], signal.SIGKILL)
            wait_for(
                lambda: installation.pids().get("streams", pids["streams"]) != pids["streams"],
                "the streams were not started again",
            )
            send_all(installation, during, Random(2))
            wait_for(
                lambda: events_of(hook, budget_id) and events_of(hook, rule_id),
                "no webhook without the store",
            )
            send_all(installation, before, Random(3))  # duplicates of traces that must be read
            wait_for(
                lambda: incomplete(client) == [budget_id], "the budget is not marked as incomplete"
            )
            send_all(installation, later, Random(4))
            wait_for(
                lambda: len(events_of(hook, budget_id)) == 2,
                "events of stored traces delay those of others",
            )
        finally:
            os.kill(pids["store"], signal.SIGCONT)
        becomes(
            figures_of(totals(all_facts)) | {"spent by user": {}},
            lambda: figures(client, start_ns, {}),
        )
        assert events_of(hook, budget_id) == ["budget.threshold_crossed"] * 2
        assert events_of(hook, rule_id) == ["alert.firing"]
        last = [each.body for each in hook.deliveries if each.body["data"]["rule_id"] == budget_id]
        assert last[-1]["data"]["incomplete"] is True
        wait_for(lambda: incomplete(client) == [], "the budget remains incomplete")
        status = client.get(f"/v1/budgets/{budget_id}/status").json()
        assert status["incomplete"] is False


def incomplete(client: httpx.Client) -> list[str]:
    answer = client.get("/v1/budgets/decision")
    assert answer.status_code == 200, answer.text
    return answer.json()["incomplete"]
