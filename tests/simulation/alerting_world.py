"""A log of deltas, the output of the alerting stage, and a worker that can crash anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec

from clickhouse.alert_rows import alert_of_record, row_of_alert
from producers.control.kinds.alert_rule import AlertRule
from producers.control.record import Tombstone
from producers.notifications.alert import Alert
from producers.notifications.registry import EVENT_TYPES
from streams.alerting.evaluation import Evaluation, Running
from streams.alerting.settings import AlertingSettings
from streams.core.alerting.evaluator import EvaluatorContext
from streams.core.alerting.rules.book import RuleBook
from streams.core.alerting.rules.project import ProjectRules
from streams.core.alerting.source_order import Applied, EarlierOrder, SourceOrder
from streams.core.rollups.deltas import Delta, WindowDelta

BEGIN_S = 1_700_000_000 // 10 * 10
SECOND_US = 1_000_000
PROJECTS = ("p1", "p2")
MODELS = ("a", "b")
RULES_MAX = 3


class Crash(Exception):
    """The worker died between two effects."""


@dataclass
class World:
    """What outlives a worker: the logs, the rules and the time."""

    chance: Random
    crash_rate: float = 0.0
    now_s: float = BEGIN_S
    log: list[tuple[int, bytes]] = field(default_factory=list)
    """Append time and value of each record."""
    alerts: list[bytes] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)
    checkpoint: tuple[int, Applied] = (-1, {})
    rules: dict[str, AlertRule] = field(default_factory=dict)
    rule_ids: set[str] = field(default_factory=set)
    """Ids are not used again."""
    sent: list[list[Delta]] = field(default_factory=lambda: [[], []])
    """All deltas of each source partition, by source offset."""

    @property
    def now_us(self) -> int:
        return round(self.now_s * SECOND_US)

    def effect(self) -> None:
        """Maybe crash before an effect."""
        if self.chance.random() < self.crash_rate:
            raise Crash

    def append(self, partition: int, first: int) -> None:
        """Append the deltas of a source partition from ``first`` on, in one or more records."""
        deltas = self.sent[partition][first:]
        while deltas:
            count = self.chance.randint(1, len(deltas))
            value = b"\n".join(map(msgspec.json.encode, deltas[:count]))
            self.log.append((self.now_us // 1_000 * 1_000, value))
            deltas = deltas[count:]

    def produce(self) -> None:
        """Send changes of one source record, and sometimes repeat earlier ones."""
        chance = self.chance
        partition = chance.randrange(len(self.sent))
        sent = self.sent[partition]
        first = len(sent)
        for _ in range(chance.randint(1, 3)):
            sent.append(self._delta(partition, len(sent)))
        if chance.random() < 0.2:  # a crash of stage 1
            first = chance.randint(max(0, first - 8), first)
        self.append(partition, first)

    def _delta(self, partition: int, offset: int) -> Delta:
        chance = self.chance
        windows = []
        for _ in range(chance.randint(1, 3)):
            behind_s = chance.choice((0, 0, 0, 5, 12, 40, 200, 1_000))
            start_s = int(self.now_s - behind_s)
            if chance.random() < 0.02:
                start_s = chance.choice((0, BEGIN_S + 10**7))
            count = chance.choice((1, 1, 2, 5))
            windows.append(
                WindowDelta(
                    start_s // 10 * 10, "default", chance.choice(MODELS), "n", count,
                    chance.randint(0, count), chance.randint(0, 9), {}, {},
                )
            )  # fmt: skip
        return Delta(chance.choice(PROJECTS), partition, offset, windows, [])


class Worker:
    """One life of the stage's worker, with the order of effects of ``AlertingOutput``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = AlertingSettings()
        context = EvaluatorContext(0, lambda _: True, self.settings, lambda *_: None)
        self.book = RuleBook(context)
        self.evaluation = Evaluation([Running("rules", "states", self.book)])
        self.history: Iterator[None] | None = None
        for record in world.rules.values():
            self.evaluation.control_changed(record, world.now_us)
        for key, value in list(world.states.items()):
            self.evaluation.restore("states", key, value)
        for value in world.alerts:
            self.evaluation.restore_alert(alert_of_record(value))
        offset, applied = world.checkpoint
        self.evaluation.restored(offset, applied, world.now_us)
        self.position = offset + 1
        self.has_begun = False

    # Actions

    def read(self) -> None:
        for _ in range(self.world.chance.randint(1, 5)):
            if self.position < len(self.world.log):
                append_us, value = self.world.log[self.position]
                self.evaluation.apply(self.position, append_us, value)
                self.position += 1
        self.send_alerts()

    def tick(self) -> None:
        is_behind = self.position < len(self.world.log)
        self.evaluation.tick(self.evaluation.appended_us if is_behind else self.world.now_us)
        self.has_begun = True
        self.send_alerts()

    def read_history(self) -> None:
        """Read a part of what the evaluators need, as ``HistoryReader`` does."""
        if self.history is None and self.has_begun:
            self.history = self._history()
        if self.history is not None and next(self.history, "end") == "end":
            self.history = None

    def _history(self) -> Iterator[None]:
        world = self.world
        while (wanted := self.evaluation.begin_history(world.now_us)) is not None:
            upper, later = wanted.to_offset, Applied()
            recent_us = max(wanted.from_us, world.now_us - 60 * SECOND_US)
            for from_us in sorted({recent_us, wanted.from_us}, reverse=True):
                order = EarlierOrder(later)
                lower = next(
                    (n for n, (at_us, _) in enumerate(world.log) if at_us >= from_us), upper
                )
                for offset in range(lower, upper):
                    append_us, value = world.log[offset]
                    self.evaluation.apply_history(offset, append_us, value, order.is_new)
                    yield
                upper, later = min(lower, upper), order.first()
                self.evaluation.history_read(from_us, is_last=from_us == wanted.from_us)
                yield

    def send_alerts(self) -> None:
        for alert in self.evaluation.take_alerts():
            self.world.effect()
            row = row_of_alert(alert, EVENT_TYPES[alert.event])
            self.world.alerts.append(msgspec.json.encode(row))

    def flush(self) -> None:
        """1. Alerts. 2. States. 3. Checkpoint."""
        self.send_alerts()
        for states in self.evaluation.take_states().values():
            for state in states:
                self.world.effect()
                if state.is_deleted:
                    self.world.states.pop(state.key, None)
                else:
                    self.world.states[state.key] = msgspec.json.encode(state.row)
        self.world.effect()
        self.world.checkpoint = (self.evaluation.input_offset, self.evaluation.applied())

    def change_rule(self) -> None:
        """Create, change, disable or delete a rule."""
        world, chance = self.world, self.world.chance
        old = chance.choice([None, *world.rules.values()])
        rule_id = f"rule_{len(world.rule_ids)}" if old is None else old.id
        if old is None and len(world.rules) > RULES_MAX:
            return
        world.rule_ids.add(rule_id)
        if old is not None and chance.random() < 0.3:
            del world.rules[rule_id]
            self.evaluation.control_changed(Tombstone(kind="alert_rule", id=rule_id), world.now_us)
        elif old is not None and chance.random() < 0.6:
            world.rules[rule_id] = old.model_copy(
                update={
                    "threshold": str(chance.randint(1, 30)),
                    "version": old.version + 1,
                    "updated_us": world.now_us,
                }
            )
            self.evaluation.control_changed(world.rules[rule_id], world.now_us)
        else:
            version = 1 if old is None else old.version + 1
            world.rules[rule_id] = random_rule(chance, rule_id, version, world.now_us)
            self.evaluation.control_changed(world.rules[rule_id], world.now_us)
        self.send_alerts()

    def finish(self) -> None:
        """Read everything, and let all windows end."""
        world = self.world
        while self.position < len(world.log):
            self.read()
        self.tick()
        while True:
            self.read_history()
            if self.history is None:
                break
        self.flush()

    @property
    def projects(self) -> dict[str, ProjectRules]:
        return self.book._projects


def random_rule(chance: Random, rule_id: str, version: int, now_us: int) -> AlertRule:
    metric = chance.choice(("count", "count", "cost", "error_count", "error_rate", "rate"))
    threshold = {
        "cost": "0.000000000010",
        "error_rate": "0.5",
        "rate": "0.3",
    }.get(metric, str(chance.randint(1, 20)))
    return AlertRule(
        id=rule_id,
        project_id=PROJECTS[int(rule_id.removeprefix("rule_")) % len(PROJECTS)],
        name="n",
        version=version,
        updated_us=now_us,
        metric=metric,
        comparison=chance.choice((">", ">=")),
        threshold=threshold,
        window_s=chance.choice((10, 20, 60, 300)),
        group_by=chance.choice(((), ("model",))),
        filter=chance.choice(({}, {"model": ("a",)})),
        for_s=chance.choice((0, 0, 0, 15)),
        keep_firing_for_s=chance.choice((0, 0, 30)),
        created_us=now_us,
    )


def alerts_of(world: World) -> list[Alert]:
    """Return all alerts in order, each id once, with the content of its first record."""
    found: dict[str, Alert] = {}
    for value in world.alerts:
        alert = alert_of_record(value)
        found.setdefault(alert.id, alert)
    return list(found.values())


def unique_deltas(world: World, to: int) -> Iterator[tuple[int, Delta]]:
    """Yield the deltas of the log before an offset, each once, with their append times."""
    order = SourceOrder({})
    for append_us, value in world.log[:to]:
        for line in value.split(b"\n"):
            delta = msgspec.json.decode(line, type=Delta)
            if order.is_new(delta):
                yield append_us, delta
