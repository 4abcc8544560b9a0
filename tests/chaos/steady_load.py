"""A load with known totals that resends each body until it is accepted."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from threading import Event, Thread

import httpx

from tests.e2e.exact_load import SPANS_PER_TRACE, Fact, export, facts
from tests.fixtures.installation import Server

ENVIRONMENT = "exact"
SPANS_PER_BODY = 100
RETRY_S = 0.1
TIMEOUT_S = 20.0


class SteadyLoad(Thread):
    """Sends ``bodies_per_s`` until ``finish``; what was answered 200 is never sent again."""

    def __init__(self, server: Server, *, bodies_per_s: float, seed: int, first_trace: int = 0):
        super().__init__(daemon=True)
        self._server = server
        self._pause_s = 1 / bodies_per_s
        self._seed = seed
        self._next_trace = first_trace
        self._ended = Event()
        self.start_ns = (time.time_ns() // 10**9 - 7200) * 10**9
        self.acknowledged: list[Fact] = []
        self.answers: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.failure = ""

    @property
    def next_trace(self) -> int:
        """The number of the first trace that was not sent."""
        return self._next_trace

    def run(self) -> None:
        with httpx.Client(
            base_url=self._server.url,
            auth=(self._server.public_key, self._server.secret_key),
            timeout=TIMEOUT_S,
        ) as client:
            while not self._ended.is_set() and not self.failure:
                batch = self._batch()
                body = export(batch, ENVIRONMENT)
                while not self._accepted(client, body) and not self.failure:
                    time.sleep(RETRY_S)
                self.acknowledged += batch
                time.sleep(self._pause_s)

    def finish(self) -> list[Fact]:
        """Stop once the last body was accepted; what was accepted in all."""
        self._ended.set()
        self.join()
        assert not self.failure, self.failure
        return self.acknowledged

    def _batch(self) -> list[Fact]:
        first, self._next_trace = (
            self._next_trace,
            self._next_trace + SPANS_PER_BODY // SPANS_PER_TRACE,
        )
        made = facts(
            SPANS_PER_BODY,
            start_ns=self.start_ns,
            spread_ns=600 * 10**9,
            seed=self._seed + first,
        )
        return [replace(fact, trace=fact.trace + first) for fact in made]

    def _accepted(self, client: httpx.Client, body: bytes) -> bool:
        try:
            answer = client.post(
                "/api/public/otel/v1/traces",
                content=body,
                headers={"content-type": "application/x-protobuf"},
            )
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
            return False
        self.answers[str(answer.status_code)] += 1
        if answer.status_code == 503 and "retry-after" in answer.headers:
            reason = answer.json()["message"].partition(" has ")[0]
            self.reasons[reason.partition(":")[2].strip()] += 1
        elif answer.status_code != 200:
            self.failure = f"{answer.status_code}: {answer.text[:200]}"
        return answer.status_code == 200
