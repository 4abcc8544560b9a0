"""Functions that create budgets and deltas, and an evaluator that can crash."""

from __future__ import annotations

from typing import Any

import msgspec

from producers.control.kinds.budget import Budget
from producers.notifications.alert import Alert
from producers.tiers.book import TierBook
from streams.alerting.settings import AlertingSettings
from streams.core.alerting.evaluator import EvaluatorContext
from streams.core.budgets.book import BudgetBook
from streams.core.budgets.sums import Cell, SpendQuery, SpendResult
from streams.core.dimensions.keys import spend_key_of_delta
from streams.core.rollups.deltas import Delta, SpendDelta

PROJECT = "p"
DAY_US = 86_400_000_000
NOON_US = 1_795_262_400_000_000  # 2026-11-21T12:00:00Z
NOON_S = NOON_US // 1_000_000
USD = 10**12


def budget(budget_id: str = "b", **fields: Any) -> Budget:
    values: dict[str, Any] = {
        "id": budget_id, "project_id": PROJECT, "name": "n", "period": "day",
        "limit_pico": USD, "thresholds": ("0.8", "1"), "created_us": NOON_US,
    }  # fmt: skip
    if "tiers" in fields or "limits" in fields:
        values["limit_pico"] = None
    return Budget(**values | fields)


def spend(pico: int, at_s: int = NOON_S, user: str = "u", trace: str = "t", **more: str) -> Any:
    model, environment = more.pop("model", "m"), more.pop("environment", "e")
    change: Any = SpendDelta(at_s, user, model, environment, pico, trace)
    for name, value in more.items():
        setattr(change, name, value)
    return change


def delta(offset: int, *changes: Any, part: int = 0) -> Delta:
    return Delta(PROJECT, 0, offset, [], list(changes), part)


class Running:
    """An evaluator, the log that it reads, and what it has written."""

    def __init__(self, *budgets: Budget, **settings: Any) -> None:
        self.budgets = {each.id: each for each in budgets}
        self.settings = AlertingSettings(**settings)
        self.tiers = TierBook()
        self.states: dict[str, bytes] = {}
        self.alerts: list[Alert] = []
        self.log: list[tuple[Delta, int]] = []
        self.checkpoint = -1
        self.limits: dict[str, int] = {}
        self.now_us = NOON_US
        self.start()

    def start(self) -> None:
        """Restore from what was written, and apply what follows the checkpoint."""
        context = EvaluatorContext(
            0, lambda _: True, self.settings,
            lambda name, n: self.limits.update({name: self.limits.get(name, 0) + n}), self.tiers,
        )  # fmt: skip
        self.now_us += bool(self.log)
        self.book = BudgetBook(context)
        self.book.begins_after(self.checkpoint)
        for each in self.budgets.values():
            self.book.control_changed(each, self.now_us)
        for key, value in self.states.items():
            self.book.restore(key, value)
        for alert in self.alerts:
            self.book.restore_alert(alert)
        self.book.restored(self.now_us)
        for offset in range(self.checkpoint + 1, len(self.log)):
            change, now_us = self.log[offset]
            self.book.apply(change, offset, now_us)

    def put(self, changed: Budget) -> None:
        self.budgets[changed.id] = changed
        self.book.control_changed(changed, self.now_us)

    def add(self, *changes: Any, now_us: int = 0) -> list[Alert]:
        """Append a delta and apply it; return its alerts, which are written."""
        self.now_us = max(self.now_us, now_us)
        self.log.append((delta(len(self.log), *changes), self.now_us))
        self.book.apply(self.log[-1][0], len(self.log) - 1, self.now_us)
        return self.take_alerts()

    def take_alerts(self) -> list[Alert]:
        new = self.book.take_alerts()
        self.alerts += new
        return new

    def tick(self, now_us: int) -> list[Alert]:
        self.now_us = max(self.now_us, now_us)
        self.book.tick(self.now_us)
        return self.take_alerts()

    def flush(self, *, states_max: int | None = None) -> None:
        """Write the states and the checkpoint; with ``states_max``, crash before all are there."""
        states = self.book.take_states()
        for state in states[:states_max]:
            if state.is_deleted:
                self.states.pop(state.key, None)
            else:
                self.states[state.key] = msgspec.json.encode(state.row)
        if states_max is None:
            self.checkpoint = len(self.log) - 1

    def settle(self, spent: dict[str, int] | None = None) -> None:
        """Answer all queries: the store has ``spent`` by user, and nothing else."""
        for query in self.book.spend_queries(1_000, len(self.log) - 1):
            groups = {
                (0, (user,) if query.meter.group_by else ()): pico
                for user, pico in (spent or {}).items()
            }
            self.book.spend_read(query, SpendResult(groups, {}))

    def settle_from_log(self, up_to: int | None = None) -> None:
        """Answer all queries from a store that contains the log up to an offset."""
        self.answer(self.book.spend_queries(1_000, len(self.log) - 1), up_to)

    def answer(self, queries: list[SpendQuery], up_to: int | None = None) -> None:
        """Answer queries from a store that contains the log up to an offset."""
        end = len(self.log) if up_to is None else up_to + 1
        for query in queries:
            spent: dict[tuple[int, tuple[str, ...]], int] = {}
            newer: dict[Cell, int] = {}
            for offset, (each, _) in enumerate(self.log[:end]):
                for change in each.spend:
                    start_s = change.bucket_s // 900 * 900
                    if not query.start_us <= start_s * 1_000_000 < query.end_us:
                        continue
                    group = (change.user_id,) if query.meter.group_by else ()
                    spent[0, group] = spent.get((0, group), 0) + change.cost_pico
                    if offset > query.offset:
                        newer[start_s, spend_key_of_delta(change)] = offset
            self.book.spend_read(query, SpendResult(spent, newer))

    def spent(self) -> dict[str, int]:
        """Return the spend in the written states by group."""
        rows = [msgspec.json.decode(value) for value in self.states.values()]
        return {row["group"]: row.get("spent_pico", 0) for row in rows if row["group"]}


def events(alerts: list[Alert]) -> list[tuple[str, Any]]:
    """Return the event and the threshold of alerts."""
    return [(each.event, msgspec.json.decode(each.payload).get("threshold")) for each in alerts]
