"""`python -m tests.bench.kills`: kill processes 200 times under load, then check all totals.

There are two stream workers and two sinks. The load is sent repeatedly, shuffled, until all kills
are done, and once more after the last. The exit code is 1 if a total differs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random, SystemRandom
from threading import Event, Thread

import httpx

from deploy.local import local_environment
from tests.e2e.exact_load import facts, totals, usd
from tests.e2e.test_exactness import KILLED_ROLES, becomes, figures, figures_of, send_all
from tests.fixtures.daytime import daytime_zone
from tests.fixtures.installation import Server, running_server

EXTRA_ROLES = ("streams", "sink")
RESTART_POLL_S = 0.2
STOP_TIMEOUT_S = 20.0


class Extra(Thread):
    """A second worker of a role, started again whenever it has ended."""

    def __init__(self, role: str, data_dir: Path) -> None:
        super().__init__(daemon=True)
        self.role = role
        self._environment = {
            **os.environ,
            "TRACEMILL_DATA_DIR": str(data_dir),
            **local_environment(data_dir, store_user="ingest"),
        }
        self._log_path = data_dir.parent / f"{role}-2.log"
        self._ended = Event()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def run(self) -> None:
        with self._log_path.open("ab") as log:
            while not self._ended.wait(RESTART_POLL_S):
                if self.pid is None:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "deploy", self.role],
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env=self._environment,
                    )

    def stop(self) -> None:
        self._ended.set()
        self.join()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Campaign(Thread):
    """Kills one process after the other until all kills are done."""

    def __init__(
        self, server: Server, extras: Sequence[Extra], random: Random, options: argparse.Namespace
    ) -> None:
        super().__init__(daemon=True)
        self._server, self._extras, self._random = server, extras, random
        self._kills, self._every_s = options.kills, options.every_s
        self._roles = options.roles.split(",")
        self._ended = Event()
        self.killed: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        return not self.is_alive()

    def run(self) -> None:
        while self.killed.total() < self._kills:
            if self._ended.wait(self._random.uniform(0.2, 2 * self._every_s - 0.2)):
                return
            targets = [
                (role, pid) for role, pid in self._server.pids().items() if role in self._roles
            ]
            targets += [
                (f"{extra.role} 2", extra.pid)
                for extra in self._extras
                if extra.pid is not None and extra.role in self._roles
            ]
            if not targets:
                continue
            role, pid = self._random.choice(targets)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed[role] += 1

    def stop(self) -> None:
        self._ended.set()
        self.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--every-s", type=float, default=2.0, help="mean time between two kills")
    parser.add_argument("--roles", default=",".join(KILLED_ROLES), help="what is killed")
    parser.add_argument("--observations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    root = Path(tempfile.mkdtemp(prefix="tracemill-kills-"))
    with installation(root / "data") as (server, extras):
        code = campaign(server, extras, options)
    if code:
        print(f"its data and logs are kept in {root}")
    else:
        shutil.rmtree(root, ignore_errors=True)
    return code


@contextmanager
def installation(data_dir: Path) -> Iterator[tuple[Server, list[Extra]]]:
    """`tracemill up` on more partitions than workers, and a second worker of each kind."""
    parallelism = {"TRACEMILL_EVENT_PARTITIONS": "4", "TRACEMILL_PROJECT_PARTITIONS": "2"}
    os.environ.update(parallelism)
    with ExitStack() as stack:
        server = stack.enter_context(running_server(data_dir, **parallelism))
        extras = [Extra(role, data_dir) for role in EXTRA_ROLES]
        for extra in extras:
            extra.start()
            stack.callback(extra.stop)
        yield server, extras


def campaign(server: Server, extras: Sequence[Extra], options: argparse.Namespace) -> int:
    random = Random(options.seed)
    start_ns = (time.time_ns() // 10**9 - 7200) * 10**9
    all_facts = facts(
        options.observations, start_ns=start_ns, spread_ns=600 * 10**9, seed=options.seed
    )
    expected = totals(all_facts)
    auth = (server.public_key, server.secret_key)
    with httpx.Client(base_url=server.url, auth=auth, timeout=30) as client:
        budgets = {}
        for user, spent_pico in expected.cost_pico_by_user.items():
            budget = {
                "name": user,
                "scope": {"user_id": user},
                "period": "day",
                "time_zone": daytime_zone(),
                "limit_usd": str(usd(spent_pico * 3 // 4)),
                "thresholds": [1.0],
            }
            answer = client.post("/v1/budgets", json=budget)
            answer.raise_for_status()
            budgets[answer.json()["id"]] = user
        killer = Campaign(server, extras, random, options)
        begun_s, rounds = time.monotonic(), 0
        killer.start()
        try:
            while not killer.is_over:
                send_all(server, all_facts, random)
                rounds += 1
                print(f"{killer.killed.total()} kills, sent {rounds} times", flush=True)
        finally:
            killer.stop()
        send_all(server, all_facts, random)
        took_s = time.monotonic() - begun_s
        print(f"killed in {took_s:.0f} s: {dict(killer.killed)}; sent {rounds + 1} times")
        try:
            becomes(figures_of(expected), lambda: figures(client, start_ns, budgets))
        except AssertionError as error:
            print(f"NOT EXACT: {error}")
            print(client.get("/api/public/ready").text, client.get("/v1/dead-letters").text[:500])
            return 1
        letters = client.get("/v1/dead-letters").json()["data"]
    print(f"exact: {options.observations} observations; {len(letters)} dead letters")
    return int(bool(letters))


if __name__ == "__main__":
    sys.exit(main())
