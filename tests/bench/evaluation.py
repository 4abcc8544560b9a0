"""Measure the evaluation of budgets and rules alone: ``python -m tests.bench.evaluation``.

Deltas like those of `make bench`'s flood are applied in the order of effects of the alerting stage,
without Kafka. It prints the CPU time per span of each part, for all spans of the load.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.budget import Budget
from streams.alerting.evaluation import Evaluation, Running
from streams.alerting.settings import AlertingSettings
from streams.core.alerting.evaluator import Evaluator, EvaluatorContext
from streams.core.alerting.rules.book import RuleBook
from streams.core.budgets.book import BudgetBook
from streams.core.budgets.sums import SpendResult
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta
from tests.bench.definitions import budget_bodies, rule_bodies
from tests.bench.otlp_load import SPANS_PER_TRACE

BEGIN_S = 1_795_262_400
PROJECT = "default"
SPANS_PER_S = 20_000
SPANS_PER_DELTA = 250
"""Spans of a source record in a flood."""
SESSIONS = 40
POLL_S, FLUSH_S, TICK_S = 0.25, 1.0, 0.5
COST_PICO = 360_000_000


def deltas(spans: int, users: int) -> Iterator[tuple[int, bytes]]:
    """Yield the append time and the value of records of ``deltas``."""
    chance = random.Random(7)
    for offset in range(spans // SPANS_PER_DELTA):
        now_us = BEGIN_S * 1_000_000 + offset * SPANS_PER_DELTA * 1_000_000 // SPANS_PER_S
        at_s = now_us // 1_000_000 // 10 * 10
        traces = SPANS_PER_DELTA // SPANS_PER_TRACE
        windows = [_window(at_s, name, traces) for name in ("answer", "search", "lookup")]
        windows += [_window(at_s, name, traces, "gpt-4o-mini") for name in ("rewrite", "write")]
        counts = Counter(
            (chance.randrange(users), chance.randrange(SESSIONS)) for _ in range(traces)
        )
        spend = [
            change
            for (user, session), count in counts.items()
            for change in (
                _spend(at_s, user, session, 3 * count, ""),
                _spend(at_s, user, session, 2 * count, "gpt-4o-mini"),
            )
        ]
        yield now_us, msgspec.json.encode(Delta(PROJECT, 0, offset, windows, spend))


def _window(at_s: int, name: str, count: int, model: str = "") -> WindowDelta:
    usage = {"input": 1_200 * count, "output": 300 * count, "total": 1_500 * count}
    return WindowDelta(
        at_s, "flood", model, name, count, 0, COST_PICO * count if model else 0,
        usage if model else {}, {679: count}, type="GENERATION" if model else "SPAN",
        level="DEFAULT", rate_bins={641: count} if model else {}, trace_id=f"{at_s:032x}",
    )  # fmt: skip


def _spend(at_s: int, user: int, session: int, count: int, model: str) -> SpendDelta:
    return SpendDelta(
        at_s, f"user-{user}", model, "flood", COST_PICO * count if model else 0, "t" * 32, count, 0,
        *((1_200 * count, 300 * count, 1_500 * count) if model else (0, 0, 0)),
        f"session-{session}", "support-chat", "", "", "openai" if model else "", "", "pk-tm-dev",
    )  # fmt: skip


class Stage:
    """The evaluators, called as ``streams.alerting.partition`` calls them."""

    def __init__(self, budgets: int, rules: int) -> None:
        context = EvaluatorContext(0, lambda _: True, AlertingSettings(), lambda *_: None)
        self.budgets, self.rules = BudgetBook(context), RuleBook(context)
        evaluators: list[tuple[str, Evaluator]] = [("b", self.budgets), ("r", self.rules)]
        self.evaluation = Evaluation(Running(name, name, each) for name, each in evaluators)
        self.spent_s: Counter[str] = Counter()
        self.states = 0
        now_us = BEGIN_S * 1_000_000
        for number, body in enumerate(budget_bodies(budgets)):
            self.evaluation.control_changed(_budget(number, body), now_us)
        for number, body in enumerate(rule_bodies(rules)):
            self.evaluation.control_changed(_rule(number, body), now_us)
        self.evaluation.restored(-1, {}, now_us)
        for query in self.budgets.spend_queries(10_000, -1):
            self.budgets.spend_read(query, SpendResult({}, {}))

    def run(self, records: list[tuple[int, bytes]]) -> None:
        """Apply all records."""
        polled = ticked = flushed = BEGIN_S * 1_000_000
        for offset, (now_us, value) in enumerate(records):
            self._timed("apply", self.evaluation.apply, offset, now_us, value)
            if now_us >= ticked + TICK_S * 1e6:
                ticked = now_us
                self._timed("tick", self.evaluation.tick, now_us)
            if now_us >= polled + POLL_S * 1e6:
                polled = now_us
                self._timed("alerts", self.evaluation.take_alerts)
            if now_us >= flushed + FLUSH_S * 1e6:
                flushed = now_us
                self._timed("states", self._flush)

    def _flush(self) -> None:
        for states in self.evaluation.take_states().values():
            for state in states:
                state.key.encode()
                msgspec.json.encode(state.row)
            self.states += len(states)

    def _timed(self, part: str, call, *arguments) -> None:  # type: ignore[no-untyped-def]
        began_s = time.process_time()
        call(*arguments)
        self.spent_s[part] += time.process_time() - began_s


def _budget(number: int, body: dict[str, object]) -> Budget:
    usd = int(str(body["limit_usd"]))
    return Budget(
        id=f"bud_{number}", project_id=PROJECT, name="n", created_us=BEGIN_S * 1_000_000,
        group_by=tuple(body["group_by"]), scope=body["scope"], period=body["period"],  # type: ignore[arg-type]
        limit_pico=usd * 10**12, thresholds=("0.5", "0.8", "1"),
    )  # fmt: skip


def _rule(number: int, body: dict[str, object]) -> AlertRule:
    units = {"s": 1, "m": 60, "h": 3_600}
    window = str(body["window"])
    return AlertRule(
        id=f"rule_{number}", project_id=PROJECT, name="n", created_us=BEGIN_S * 1_000_000,
        metric=str(body["metric"]), comparison=">", threshold=str(body["threshold"]),
        window_s=int(window[:-1]) * units[window[-1]], group_by=tuple(body["group_by"]),  # type: ignore[arg-type]
        filter={name: tuple(values) for name, values in body["filter"].items()},  # type: ignore[attr-defined]
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.evaluation", description=__doc__)
    parser.add_argument("--budgets", type=int, default=200)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--users", type=int, default=1)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--profile", action="store_true", help="print what takes most time")
    options = parser.parse_args()
    records = list(deltas(options.spans, options.users))
    for budgets, rules in ((0, 0), (options.budgets, 0), (0, options.rules)):
        stage = Stage(budgets, rules)
        profile = cProfile.Profile()
        if options.profile and budgets + rules:
            profile.enable()
        stage.run(records)
        profile.disable()
        parts = ", ".join(
            f"{part} {spent_s / options.spans * 1e6:.2f}" for part, spent_s in stage.spent_s.items()
        )
        total_us = sum(stage.spent_s.values()) / options.spans * 1e6
        print(
            f"{budgets} budgets, {rules} rules: {total_us:.2f} µs per span"
            f" ({parts}); {stage.states} states"
        )
        if options.profile and budgets + rules:
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
