"""Episodes are announced once and sums are exact, however the worker's lives end.

``TRACEMILL_SIMULATION_SECONDS=3600 pytest tests/simulation/test_alerting_survives.py`` runs fresh
seeds for an hour. The seed of a failure is printed; ``TRACEMILL_SIMULATION_SEEDS=7:8`` runs seed 7.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from random import Random

import msgspec

from clickhouse.alert_rows import alert_of_record
from clickhouse.rows import AlertStateRow
from producers.notifications.alert import Alert
from producers.notifications.rule_change import RuleChange
from streams.core.alerting.rules.machine import OPEN
from streams.core.alerting.rules.rule import Rule
from tests.simulation.alerting_world import (
    MODELS,
    SECOND_US,
    Crash,
    Worker,
    World,
    alerts_of,
    unique_deltas,
)
from tests.simulation.fresh_seeds import named_seed, seeds_of_environment

SECONDS = 4.0
ACTIONS = (
    Worker.read, Worker.read, Worker.read, Worker.read, Worker.tick, Worker.tick, Worker.flush,
    Worker.read_history, Worker.read_history, Worker.read_history, Worker.change_rule,
)  # fmt: skip


WAITING = ("pending", "recovering")


def test_episodes_are_announced_once_and_sums_are_exact() -> None:
    for seed in seeds_of_environment(SECONDS):
        with named_seed(seed):
            live(seed)


def live(seed: int) -> None:
    chance = Random(seed)
    world = World(chance, crash_rate=chance.choice((0.0, 0.02, 0.1, 0.3)))
    for _ in range(chance.randint(1, 6)):
        try:
            worker = Worker(world)
            if not world.rules:
                worker.change_rule()
            for _ in range(chance.randint(1, 60)):
                for _ in range(chance.randint(0, 2)):
                    world.produce()
                world.now_s += chance.choice((0.1, 0.1, 1.0, 3.0, 11.0, 25.0))
                chance.choice(ACTIONS)(worker)
                check_alerts(world)
            if chance.random() < 0.5:  # a rebalance; otherwise the process is killed
                worker.flush()
        except Crash:
            check_alerts(world)
    world.crash_rate = 0.0
    worker = Worker(world)
    worker.finish()
    check_alerts(world)
    check_sums(worker)
    check_states(worker)
    check_nothing_is_missed(worker)
    alerts = len(alerts_of(world))
    waits = any(
        state.state in WAITING for rule in rules_of(worker) for state in rule.groups.values()
    )
    # Another worker that reads the same has nothing to announce, unless time alone decides.
    Worker(world).finish()
    assert waits or len(alerts_of(world)) == alerts


def check_alerts(world: World) -> None:
    """An episode is announced once between its ends, and each alert has one identity."""
    windows: dict[str, tuple[object, ...]] = {}
    for each in map(alert_of_record, world.alerts):
        change = msgspec.json.decode(each.payload, type=RuleChange)
        window = (each.event, each.episode, change.group, change.window_start_us)
        assert windows.setdefault(each.id, window) == window, "a repeated alert is the same one"
    last: dict[tuple[str, str], Alert] = {}
    for alert in alerts_of(world):
        change = msgspec.json.decode(alert.payload, type=RuleChange)
        key = (alert.rule_id, msgspec.json.encode(change.group, order="sorted").decode())
        before = last.get(key)
        if alert.event == "alert.firing":
            assert before is None or before.event == "alert.resolved", (before, alert)
        else:
            assert before is not None, alert
            assert (before.event, before.episode) == ("alert.firing", alert.episode)
        last[key] = alert


def check_sums(worker: Worker) -> None:
    """The sums of every window are those of the log, each delta counted once."""
    for project_id, project in worker.projects.items():
        current_s = project._clock.current_s
        for rule in project.rules.values():
            series = rule.series
            assert series is not None
            start_s = current_s + 10 - rule.record.window_s
            if start_s < series.complete_from_s:
                continue
            expected: dict[tuple[str, ...], int] = defaultdict(int)
            for append_us, delta in unique_deltas(worker.world, worker.position):
                if delta.project_id != project_id:
                    continue
                for window in delta.windows:
                    at_s = min(window.window_s, append_us // SECOND_US // 10 * 10)
                    selected = rule.record.filter.get("model", MODELS)
                    if start_s <= at_s <= current_s and window.model in selected:
                        group = (window.model,) if rule.group_by else ()
                        expected[group] += window.observations
            found = {group: mine.windows[0].sums[0] for group, mine in series.groups.items()}
            assert {g: n for g, n in found.items() if n} == dict(expected), rule.record


def check_states(worker: Worker) -> None:
    """What is written is what the worker has; who is firing has been announced."""
    rows = [msgspec.json.decode(v, type=AlertStateRow) for v in worker.world.states.values()]
    written = {(row.rule_id, row.group): row.state for row in rows}
    in_memory = {
        (rule.record.id, rule.group_json(group)): state.state
        for rule in rules_of(worker)
        for group, state in rule.groups.items()
    }
    assert written == in_memory
    last = {}
    for alert in alerts_of(worker.world):
        change = msgspec.json.decode(alert.payload, type=RuleChange)
        group = msgspec.json.encode(change.group, order="sorted").decode()
        last[alert.rule_id, group] = alert.event
    announced = {key for key, event in last.items() if event == "alert.firing"}
    assert announced == {key for key, state in in_memory.items() if state in OPEN}


def check_nothing_is_missed(worker: Worker) -> None:
    """A group whose current window meets its rule is firing, if the rule need not wait."""
    for project in worker.projects.values():
        for rule in project.rules.values():
            series = rule.series
            if series is None or not rule.is_immediate or rule.record.for_s:
                continue
            end_s = project._clock.current_s + 10
            for group in series.groups:
                sums = series.sums(group, 0)
                value = rule.plan.value(sums.sums, sums.bins, rule.record.window_s)
                state = rule.groups.get(group)
                if value is not None and rule.threshold.is_met(value):
                    assert state is not None, (rule.record, group, value)
                    assert state.state in OPEN or state.decided_us > end_s * SECOND_US


def rules_of(worker: Worker) -> Iterator[Rule]:
    for project in worker.projects.values():
        yield from project.rules.values()
