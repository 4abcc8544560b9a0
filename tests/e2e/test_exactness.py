"""Totals and alerts stay exact if events are repeated and shuffled and processes are killed.

``TRACEMILL_TEST_EXACT_OBSERVATIONS`` and ``TRACEMILL_TEST_EXACT_KILLS`` make the load larger: it is
sent twice, and again until so many processes were killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random, SystemRandom
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.e2e.exact_load import Fact, Totals, export, facts, totals, usd
from tests.e2e.webhook_receiver import Received, receiver
from tests.fixtures.daytime import daytime_zone
from tests.fixtures.installation import Server, running_server

OBSERVATIONS = int(os.environ.get("TRACEMILL_TEST_EXACT_OBSERVATIONS", "100000"))
KILLS_MIN = int(os.environ.get("TRACEMILL_TEST_EXACT_KILLS", "1"))
KILL_EVERY_S = 5.0
KILLED_ROLES = ("broker", "store", "edge", "streams", "sink")
BATCH = 250
SENDERS = 4
SETTLE_TIMEOUT_S = max(180.0, OBSERVATIONS / 1_000)
SEND_TIMEOUT_S = max(300.0, OBSERVATIONS / 500)
THRESHOLDS = (0.5, 1.0)
ENVIRONMENT = "exact"
CROSSED, CORRECTED = "budget.threshold_crossed", "budget.corrected"
FIRING, RESOLVED = "alert.firing", "alert.resolved"


class Killer(Thread):
    """Kills a random process with SIGKILL every few seconds until told to stop."""

    def __init__(self, installation: Server, random: Random) -> None:
        super().__init__(daemon=True)
        self._installation, self._random = installation, random
        self._ended = Event()
        self.killed: list[str] = []

    def run(self) -> None:
        while not self._ended.wait(self._random.uniform(1, 2 * KILL_EVERY_S - 1)):
            pids = self._installation.pids()
            roles = [role for role in KILLED_ROLES if role in pids]
            if roles:
                role = self._random.choice(roles)
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(pids[role], signal.SIGKILL)
                    self.killed.append(role)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def send_all(installation: Server, all_facts: list[Fact], random: Random) -> None:
    """Send every fact once, shuffled; repeat requests without a response or answered 503."""
    shuffled = all_facts[:]
    random.shuffle(shuffled)
    bodies = [
        export(shuffled[at : at + BATCH], ENVIRONMENT) for at in range(0, len(shuffled), BATCH)
    ]
    deadline_s = time.monotonic() + SEND_TIMEOUT_S
    with (
        httpx.Client(
            base_url=installation.url,
            auth=(installation.public_key, installation.secret_key),
            timeout=20,
        ) as client,
        ThreadPoolExecutor(SENDERS) as pool,
    ):

        def send(body: bytes) -> None:
            while True:
                try:
                    answer = client.post(
                        "/api/public/otel/v1/traces",
                        content=body,
                        headers={"content-type": "application/x-protobuf"},
                    )
                except httpx.TransportError:
                    pass
                else:
                    if answer.status_code == 200:
                        return
                    assert answer.status_code == 503, answer.text
                assert time.monotonic() < deadline_s, "the load was not accepted in time"
                time.sleep(0.2)

        list(pool.map(send, bodies))


def ask(client: httpx.Client, path: str, **params: Any) -> Any:
    """The answer, asked again while a process that was killed comes back."""
    deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        try:
            answer = client.get(path, params=params)
        except httpx.TransportError:
            pass
        else:
            if answer.status_code not in {502, 503}:
                assert answer.status_code == 200, answer.text
                return answer.json()
        assert time.monotonic() < deadline_s
        time.sleep(0.2)


def windows(client: httpx.Client, start_ns: int, **params: Any) -> list[dict[str, Any]]:
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start_ns / 1e9 - 3600))
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start_ns / 1e9 + 24 * 3600))
    params = {"from": begin, "to": end, "step": "1h", "environment": ENVIRONMENT, **params}
    return ask(client, "/v1/windows", **params)["data"]


def total(client: httpx.Client, path: str, **params: Any) -> int:
    return ask(client, path, environment=ENVIRONMENT, limit=1, **params)["meta"]["totalItems"]


def figures(client: httpx.Client, start_ns: int, budgets: dict[str, str]) -> dict[str, Any]:
    """Every total that the API shows; ``budgets`` are ids and their users."""
    rows = windows(client, start_ns, group_by="model")
    costs: dict[str, Decimal] = {}
    for row in rows:
        costs[row["model"]] = costs.get(row["model"], Decimal(0)) + Decimal(row["cost_usd"])
    costs.pop("", None)
    return {
        "observations": total(client, "/api/public/observations"),
        "errors": total(client, "/api/public/observations", level="ERROR"),
        "traces": total(client, "/api/public/traces"),
        "observations in windows": sum(row["count"] for row in rows),
        "errors in windows": sum(row["errors"] for row in rows),
        "cost by model": costs,
        "spent by user": {
            user: Decimal(ask(client, f"/v1/budgets/{budget_id}/status")["spent_usd"])
            for budget_id, user in budgets.items()
        },
    }


def figures_of(expected: Totals) -> dict[str, Any]:
    return {
        "observations": expected.observations,
        "errors": expected.errors,
        "traces": expected.traces,
        "observations in windows": expected.observations,
        "errors in windows": expected.errors,
        "cost by model": {
            model: usd(pico) for model, pico in expected.cost_pico_by_model.items() if model
        },
        "spent by user": {user: usd(pico) for user, pico in expected.cost_pico_by_user.items()},
    }


def becomes(expected: dict[str, Any], shown: Callable[[], dict[str, Any]]) -> None:
    """Wait until it is so; each table is filled on its own."""
    deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
    while (now := shown()) != expected:
        assert time.monotonic() < deadline_s, f"{now} instead of {expected}"
        time.sleep(0.5)


def crossed_once(deliveries: Sequence[Received]) -> set[tuple[str, Any]]:
    """Return budgets and thresholds that are crossed; none has two alerts for one crossing.

    Shuffled spans can lower the spend: an agent's usage counts until its calls arrive. If it stays
    lower for seconds, a correction takes the crossing back, and another one may follow.
    """
    crossings: dict[tuple[str, Any], set[str]] = {}
    corrections: dict[tuple[str, Any], set[str]] = {}
    for each in list(deliveries):
        data = each.body["data"]
        if each.body["type"] not in {CROSSED, CORRECTED}:
            continue
        ids = crossings if each.body["type"] == CROSSED else corrections
        ids.setdefault((data["budget_id"], data["threshold"]), set()).add(each.id)
    open_ = {at: len(ids) - len(corrections.get(at, ())) for at, ids in crossings.items()}
    assert all(count <= 1 for count in open_.values()), open_
    return {at for at, count in open_.items() if count == 1}


def episodes(deliveries: Sequence[Received]) -> dict[str, set[tuple[str, str]]]:
    """Return the type and id of each alert of a rule, by model."""
    found: dict[str, set[tuple[str, str]]] = {}
    for each in list(deliveries):
        if each.body["type"] in {FIRING, RESOLVED}:
            model = each.body["data"]["group"]["model"]
            found.setdefault(model, set()).add((each.body["type"], each.id))
    return found


def create_rule(client: httpx.Client, expected: Totals) -> str:
    """Create a rule that is true for each model, once most of the load has been sent.

    Shuffled spans can lower the cost for a moment, which must not end the episode.
    """
    costs = [pico for model, pico in expected.cost_pico_by_model.items() if model]
    rule = {
        "name": "cost by model", "metric": "cost", "group_by": ["model"], "comparison": ">",
        "threshold": str(usd(min(costs) * 9 // 10)), "window": "1d", "time_zone": daytime_zone(),
        "keep_firing_for": "1h",
    }  # fmt: skip
    answer = client.post("/v1/alert-rules", json=rule)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own: its processes are killed, and it is as impatient as any."""
    data_dir = tmp_path_factory.mktemp("exactness") / "data"
    with running_server(data_dir, TRACEMILL_WEBHOOKS_ALLOW_PRIVATE="true") as server:
        yield server


def test_sent_twice_shuffled_and_killed_every_total_is_exact(
    installation: Server, client: httpx.Client
) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    random = Random(seed)
    start_ns = (time.time_ns() // 10**9 - 7200) * 10**9
    all_facts = facts(OBSERVATIONS, start_ns=start_ns, spread_ns=600 * 10**9, seed=seed)
    expected = totals(all_facts)

    with receiver() as hook:
        created = client.post(
            "/v1/webhooks",
            json={"url": hook.url, "events": [CROSSED, CORRECTED, FIRING, RESOLVED]},
        )
        assert created.status_code == 201, created.text
        budgets: dict[str, str] = {}
        for user, spent_pico in expected.cost_pico_by_user.items():
            answer = client.post(
                "/v1/budgets",
                json={
                    "name": user,
                    "scope": {"user_id": user},
                    "period": "day",
                    "time_zone": daytime_zone(),
                    "limit_usd": str(usd(spent_pico * 3 // 4)),
                    "thresholds": list(THRESHOLDS),
                },
            )
            assert answer.status_code == 201, answer.text
            budgets[answer.json()["id"]] = user

        rule_id = create_rule(client, expected)

        killer = Killer(installation, random)
        killer.start()
        try:
            send_all(installation, all_facts, random)
            send_all(installation, all_facts, random)
            while len(killer.killed) < KILLS_MIN:
                send_all(installation, all_facts, random)
        finally:
            killer.stop()
        print(f"{len(killer.killed)} killed: {', '.join(killer.killed)}")

        becomes(figures_of(expected), lambda: figures(client, start_ns, budgets))

        deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
        models = len(expected.cost_pico_by_model) - 1
        while (
            len(crossed_once(hook.deliveries)) < len(budgets) * len(THRESHOLDS)
            or len(episodes(hook.deliveries)) < models
        ):
            assert time.monotonic() < deadline_s, f"{len(hook.deliveries)} webhooks came"
            time.sleep(0.1)
        assert figures(client, start_ns, budgets) == figures_of(expected), "and stays so"
        assert len(crossed_once(hook.deliveries)) == len(budgets) * len(THRESHOLDS)

        for model, alerts in episodes(hook.deliveries).items():
            assert [kind for kind, _ in alerts] == [FIRING], (model, alerts)

        client.delete(f"/v1/alert-rules/{rule_id}")
        client.delete(f"/v1/webhooks/{created.json()['id']}")
        for budget_id in budgets:
            client.delete(f"/v1/budgets/{budget_id}")
