"""Rules about scores count each score once and announce episodes once, however lives end.

Scores arrive late, twice, in another order, corrected and deleted; their observations are stored
before or after them, and the store is away now and then. The worker is killed between any two
steps, with or without its last states.

``TRACEMILL_SIMULATION_SECONDS=3600 pytest tests/simulation/test_score_rules_survive.py`` runs fresh
seeds for an hour. The seed of a failure is printed; ``TRACEMILL_SIMULATION_SEEDS=7:8`` runs seed 7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import msgspec

from clickhouse.rows import ScoreRow
from producers.notifications.rule_change import RuleChange
from streams.alerting.settings import AlertingSettings
from streams.core.alerting.rules.scored_calls import Call, CallKey
from tests.simulation.fresh_seeds import named_seed, seeds_of_environment
from tests.streams.alerting.rules.rule_book import SECOND_US, Book, rule

SECONDS = 2.0
WINDOW_S = 600
RULES = (
    rule(
        id="rule_1", metric="score_mean", comparison="<", threshold="0.5", window_s=WINDOW_S,
        group_by=("score_name",),
    ),
    rule(
        id="rule_2", metric="score_mean", comparison="<", threshold="0.5", window_s=WINDOW_S,
        group_by=("model",), keep_firing_for_s=30,
    ),
    rule(
        id="rule_3", metric="score_share", comparison=">=", threshold="0.5", window_s=WINDOW_S,
        filter={"score_value": ("< 0.5",), "model": ("m1",)}, min_count=2,
    ),
)  # fmt: skip


@dataclass
class World:
    """What outlives a worker: the log of scores, the stored observations, and the output."""

    chance: Random
    book: Book = field(default_factory=lambda: Book(AlertingSettings(score_call_wait_max_s=86_400)))
    log: list[tuple[int, bytes]] = field(default_factory=list)
    latest: dict[str, ScoreRow] = field(default_factory=dict)
    stored: dict[CallKey, Call] = field(default_factory=dict)
    versions: int = 0

    def produce(self) -> None:
        """Append a score, a correction, a deletion, or a repetition of an earlier record."""
        chance = self.chance
        if self.log and chance.random() < 0.2:
            self._append(chance.choice(self.log)[1])
            return
        number = chance.randrange(8)
        self.versions += 1
        row = ScoreRow(
            project_id="p1", id=f"s{number}", row_version=self.versions,
            event_us=round((self.book.now_s - chance.choice((0, 0, 1, 30, 200))) * SECOND_US),
            name=f"n{number % 2}", value=chance.randint(0, 10) / 10, trace_id="t",
            observation_id=f"o{number}" if number < 6 else "",
            is_deleted=int(chance.random() < 0.1),
        )  # fmt: skip
        self.latest[row.id] = row
        self._append(msgspec.json.encode(row))

    def _append(self, value: bytes) -> None:
        self.log.append((self.book.now_us, value))
        self.book.book.apply_rows("scores", value, self.book.now_us)
        self.book.collect()

    def store(self, count: int = 1) -> None:
        """Store observations."""
        for number in self.chance.sample(range(6), count):
            self.stored["t", f"o{number}"] = Call(model=f"m{number % 2}")

    def answer(self, *, is_away: bool = False) -> None:
        """Answer the look-ups; scores whose observations are not stored go on waiting."""
        for query in self.book.book.calls_wanted(self.chance.choice((1, 3, 100))):
            found = {key: self.stored[key] for key in query.calls if key in self.stored}
            self.book.book.calls_found(query, None if is_away else found, self.book.now_us)
        self.book.collect()

    def restart(self) -> None:
        """Kill the worker; the next one reads the log again."""
        self.book.restart(lose_states=self.chance.random() < 0.2)
        for append_us, value in self.log:
            self.book.book.apply_rows("scores", value, append_us)
        self.book.book.rows_read(self.book.book.older_rows())
        self.book.collect()


def test_scores_count_once_and_episodes_are_announced_once() -> None:
    for seed in seeds_of_environment(SECONDS):
        with named_seed(seed):
            live(Random(seed))


def live(chance: Random) -> None:
    world = World(chance)
    world.book.put(*RULES)
    world.book.pass_s(1)
    world.book.book.rows_read(world.book.book.older_rows())
    actions = (
        world.produce, world.produce, world.produce, world.store, world.answer, world.answer,
        lambda: world.answer(is_away=True), world.restart,
        lambda: world.book.pass_s(chance.choice((0.5, 5, 20))),
    )  # fmt: skip
    for _ in range(chance.randint(1, 60)):
        chance.choice(actions)()
        check_alerts(world)
    world.store(6)
    while world.book.book.calls_wanted(1):
        world.answer()
    world.book.pass_s(1)
    check_alerts(world)
    check_sums(world)


def check_alerts(world: World) -> None:
    """An episode is announced once between its ends."""
    last: dict[tuple[str, str], tuple[str, str]] = {}
    for alert in {each.id: each for each in world.book.alerts}.values():
        change = msgspec.json.decode(alert.payload, type=RuleChange)
        key = (alert.rule_id, str(sorted(change.group.items())))
        event, episode = last.get(key, ("alert.resolved", ""))
        assert event != alert.event, alert
        assert alert.event == "alert.firing" or alert.episode == episode
        last[key] = alert.event, alert.episode


def check_sums(world: World) -> None:
    """The sums of every window are those of the latest versions of its scores."""
    project = world.book.book._projects["p1"]
    current_s = project._clock.current_s
    for each in RULES:
        series = project.rules[each.id].series
        assert series is not None
        expected: dict[tuple[str, ...], tuple[int, int]] = {}
        for row in world.latest.values():
            call = world.stored["t", row.observation_id] if row.observation_id else Call()
            start_s = row.event_us // SECOND_US // 10 * 10
            is_selected = call.model in each.filter.get("model", (call.model,))
            if row.is_deleted or not current_s + 10 - WINDOW_S <= start_s or not is_selected:
                continue
            values = {"score_name": row.name, "model": call.model}
            group = tuple(values[name] for name in each.group_by)
            count, total = expected.get(group, (0, 0))
            assert row.value is not None
            low = row.value < 0.5
            added = round(row.value * 10) * 10**11 if each.metric == "score_mean" else int(low)
            expected[group] = count + 1, total + added
        found = {group: tuple(mine.windows[0].sums) for group, mine in series.groups.items()}
        assert {group: sums for group, sums in found.items() if any(sums)} == expected, each.id
