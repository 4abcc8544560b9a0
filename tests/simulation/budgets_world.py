"""A log of spend, the output of the alerting stage, and an evaluator of budgets that can crash."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from clickhouse.alert_rows import alert_of_record, row_of_alert
from producers.control.kinds.budget import Budget, BudgetLimit
from producers.control.periods import period_bounds
from producers.control.record import Tombstone
from producers.notifications.alert import Alert
from producers.notifications.registry import EVENT_TYPES
from producers.tiers.book import TierBook
from producers.tiers.record import Tier
from streams.alerting.settings import AlertingSettings
from streams.core.alerting.evaluator import EvaluatorContext
from streams.core.budgets.book import BudgetBook
from streams.core.budgets.sums import Cell, SpendQuery, SpendResult
from streams.core.dimensions.keys import spend_key_of_delta
from streams.core.rollups.deltas import Delta, SpendDelta

PROJECT = "p"
BEGIN_US = 1_795_262_400_000_000  # 2026-11-21T12:00:00Z
SECOND_US = 1_000_000
USD = 10**12
USERS = ("a", "b", "c")
THRESHOLDS = ("0.5", "1")
PERIODS = ("hour", "day", "total", "rolling_24h")
BUDGETS_MAX = 5


class Crash(Exception):
    """The worker died between two effects."""


@dataclass
class World:
    """What outlives a worker: the log, its output, the budgets and the time."""

    chance: Random
    crash_rate: float = 0.0
    correction_delay_s: int = 0
    now_us: int = BEGIN_US
    log: list[tuple[int, Delta]] = field(default_factory=list)
    alerts: list[bytes] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)
    checkpoint: int = -1
    budgets: dict[str, Budget] = field(default_factory=dict)
    begins: dict[str, int] = field(default_factory=dict)
    """Length of the log when a budget was created."""
    tiers: TierBook = field(default_factory=TierBook)

    def effect(self) -> None:
        """Maybe crash before an effect."""
        if self.chance.random() < self.crash_rate:
            raise Crash

    def produce(self) -> None:
        """Append changes of spend; corrections take back what was spent."""
        chance = self.chance
        changes: list[Any] = []
        for _ in range(chance.randint(1, 3)):
            at_s = self.now_us // SECOND_US - chance.choice((0, 0, 0, 900, 3_600, 90_000))
            pico = chance.randint(-4, 6) * USD // 4
            changes.append(SpendDelta(at_s, chance.choice(USERS), "m", "e", pico, "t"))
        self.log.append((self.now_us, Delta(PROJECT, 0, len(self.log), [], changes)))

    def spent(self, budget: Budget, period: str, start_us: int) -> dict[str, int]:
        """Return the spend of a period by group, as the log has it."""
        found: dict[str, int] = defaultdict(int)
        for _, delta in self.log:
            for change in delta.spend:
                at_us = change.bucket_s // 900 * 900 * SECOND_US
                if period_bounds(period, "UTC", at_us)[0] == start_us:
                    group = f'{{"user_id":"{change.user_id}"}}' if budget.group_by else "{}"
                    found[group] += change.cost_pico
        return found


class Worker:
    """One life of the evaluator, with the order of effects of ``AlertingOutput``."""

    def __init__(self, world: World) -> None:
        self.world = world
        settings = AlertingSettings(budget_correction_delay_s=world.correction_delay_s)
        context = EvaluatorContext(0, lambda _: True, settings, lambda *_: None, world.tiers)
        self.book = BudgetBook(context)
        for each in world.budgets.values():
            self.book.control_changed(each, world.now_us)
        self.book.begins_after(world.checkpoint)
        for key, value in world.states.items():
            self.book.restore(key, value)
        for value in world.alerts:
            self.book.restore_alert(alert_of_record(value))
        world.now_us += 1
        self.book.restored(world.now_us)
        self.position = world.checkpoint + 1
        self.checkpoints = deque([world.checkpoint])
        self.queries: list[SpendQuery] = []

    def read(self) -> None:
        """Apply records; alerts are sent after some of them."""
        for _ in range(self.world.chance.randint(1, 4)):
            if self.position < len(self.world.log):
                append_us, delta = self.world.log[self.position]
                self.book.apply(delta, self.position, append_us)
                self.position += 1
        self.send_alerts()

    def tick(self) -> None:
        log = self.world.log
        is_behind = self.position < len(log)
        applied_us = log[self.position - 1][0] if self.position else 0
        self.book.tick(applied_us if is_behind else self.world.now_us)
        self.send_alerts()

    def query(self) -> None:
        """Begin to read stored spend."""
        self.queries += self.book.spend_queries(2, self.position - 1)

    def settle(self) -> None:
        """Answer a query from a store that contains more or less of what follows it."""
        if not self.queries:
            return
        query = self.queries.pop(self.world.chance.randrange(len(self.queries)))
        if self.world.chance.random() < 0.2:
            self.book.spend_read(query, None)
            return
        end = self.world.chance.randint(query.offset + 1, len(self.world.log))
        spent: dict[tuple[int, tuple[str, ...]], int] = defaultdict(int)
        newer: dict[Cell, int] = {}
        for offset, (_, delta) in enumerate(self.world.log[:end]):
            for change in delta.spend:
                start_s = change.bucket_s // 900 * 900
                if query.start_us <= start_s * SECOND_US < query.end_us:
                    group = (change.user_id,) if query.meter.group_by else ()
                    is_rolling = query.meter.period.startswith("rolling")
                    spent[start_s if is_rolling else 0, group] += change.cost_pico
                    if offset > query.offset:
                        newer[start_s, spend_key_of_delta(change)] = offset
        self.book.spend_read(query, SpendResult(dict(spent), newer))
        self.send_alerts()

    def send_alerts(self) -> None:
        for alert in self.book.take_alerts():
            self.world.effect()
            row = row_of_alert(alert, EVENT_TYPES[alert.event])
            self.world.alerts.append(msgspec.json.encode(row))

    def flush(self, *, is_whole: bool = False) -> None:
        """1. Alerts. 2. States. 3. Checkpoint: that of the last flush whose states are all written.

        If not ``is_whole``, some states may wait for another flush.
        """
        self.send_alerts()
        count_max = None if is_whole else self.world.chance.choice((0, 1, 3, None))
        for state in self.book.take_states(count_max):
            self.world.effect()
            if state.is_deleted:
                self.world.states.pop(state.key, None)
            else:
                self.world.states[state.key] = msgspec.json.encode(state.row)
        assert not self.book.take_alerts(), "states must not precede their alerts"
        self.world.effect()
        written_to = self.book.written_to
        self.checkpoints.append(self.position - 1)
        while len(self.checkpoints) > 1 and (
            written_to is None or self.checkpoints[1] <= written_to
        ):
            self.checkpoints.popleft()
        self.world.checkpoint = self.checkpoints[0]

    def change_budget(self) -> None:
        """Create, change or delete a budget, or set a tier."""
        world, chance = self.world, self.world.chance
        old = chance.choice([None, *world.budgets.values()])
        if chance.random() < 0.2:
            tier = Tier(PROJECT, chance.choice(USERS), chance.choice(("small", "large")))
            world.tiers.apply(tier)
            self.book.tier_changed(tier, world.now_us)
        elif old is None and len(world.budgets) < BUDGETS_MAX:
            budget = random_budget(chance, f"b{len(world.begins)}", world.now_us)
            world.begins[budget.id] = self.position
            world.budgets[budget.id] = budget
            self.book.control_changed(budget, world.now_us)
        elif old is not None and chance.random() < 0.2:
            del world.budgets[old.id]
            self.book.control_changed(Tombstone(kind="budget", id=old.id), world.now_us)
        elif old is not None:
            limits = tuple(
                each.model_copy(update={"limit_pico": chance.randint(1, 4) * USD})
                if each.limit_pico
                else each
                for each in old.limits
            )
            world.budgets[old.id] = old.model_copy(update={"limits": limits})
            self.book.control_changed(world.budgets[old.id], world.now_us)
        self.send_alerts()

    def finish(self) -> None:
        """Apply and read everything."""
        world = self.world
        while self.position < len(world.log):
            self.read()
        world.now_us += 1
        self.tick()
        for _ in range(1_000):
            self.query()
            if self.book.is_complete and not self.queries:
                break
            self.settle()
        assert self.book.is_complete
        world.now_us += 10 * SECOND_US
        self.tick()
        self.flush(is_whole=True)


def random_budget(chance: Random, budget_id: str, now_us: int) -> Budget:
    group_by = chance.choice(((), ("user_id",)))
    limits = []
    for period in chance.sample(PERIODS, chance.randint(1, 2)):
        limit: dict[str, Any] = {"name": period, "period": period}
        if group_by and chance.random() < 0.3:
            limit |= {"tiers": {"small": USD, "large": 4 * USD}, "default_tier": "small"}
        else:
            limit["limit_pico"] = chance.randint(1, 4) * USD
        limits.append(BudgetLimit(**limit))
    return Budget(
        id=budget_id, project_id=PROJECT, name="n", group_by=group_by, limits=tuple(limits),
        limit_pico=None, thresholds=THRESHOLDS, created_us=now_us,
    )  # fmt: skip


def alerts_of(world: World) -> Iterator[Alert]:
    """Yield the alerts in order, each id once."""
    seen: set[str] = set()
    for value in world.alerts:
        alert = alert_of_record(value)
        if alert.id not in seen:
            seen.add(alert.id)
            yield alert
