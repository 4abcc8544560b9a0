"""Generates the load of simulated projects: deltas, some repeated or poisoned."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import msgspec

from streams.core.dimensions.keys import spend_key_of_delta
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta

NOW_S = 1_780_000_000 // 86_400 * 86_400 + 43_000
NOW_US = NOW_S * 1_000_000
PROJECTS = ("p1", "p2")
USERS = ("u1", "u2", "")
MODELS = ("m1", "m2")
POISON = "poison"
GARBAGE = (
    b"[",
    b"\xff",
    b"[" * 9_000,
    b'["p1",0,-1,[],[]]',
    b'["p1",0,1,[[0,"","","",9e99,0,0,{},{}]],[]]',
)


def raises(delta: Delta) -> bool:
    return any(window.name == POISON for window in delta.windows) or any(
        change.trace_id == POISON for change in delta.spend
    )


@dataclass
class Stage1:
    """Sends deltas per source record as stage 1 does, in chunks that may be repeated."""

    rng: random.Random
    corrections: bool
    poison: float = 0.0
    """The share of deltas, and of records, that hold what raises."""
    partitions: tuple[int, ...] = (0, 1)
    records: dict[int, list[list[Delta]]] = field(default_factory=lambda: defaultdict(list))

    def write(self, log: list[bytes], count: int) -> None:
        """Append ``count`` source records to the log, repeating some chunks cut otherwise."""
        sent = dict.fromkeys(self.partitions, 0)
        for partition in self.partitions:
            self.records[partition] = [self._record(partition, n) for n in range(count)]
        while any(sent[p] < count for p in self.partitions):
            partition = self.rng.choice([p for p in self.partitions if sent[p] < count])
            begin = max(0, sent[partition] - self.rng.choice([0, 0, 0, 3]))
            end = min(count, sent[partition] + self.rng.randint(1, 4))
            deltas = [delta for record in self.records[partition][begin:end] for delta in record]
            cut = self.rng.randint(0, len(deltas))  # a record that is too long is cut anywhere
            for part in (deltas[:cut], deltas[cut:]):
                lines = [msgspec.json.encode(delta) for delta in part]
                if self._is_poisoned():
                    lines.insert(self.rng.randint(0, len(lines)), self.rng.choice(GARBAGE))
                log.append(b"\n".join(lines))
            sent[partition] = end

    def _record(self, partition: int, offset: int) -> list[Delta]:
        projects = self.rng.sample(PROJECTS, self.rng.randint(0, len(PROJECTS)))
        deltas = [
            Delta(
                project,
                partition,
                offset,
                [self._window() for _ in range(self.rng.randint(0, 3))],
                [self._spend(f"t{partition}-{offset}") for _ in range(self.rng.randint(0, 3))],
            )
            for project in projects
        ]
        for delta in deltas:
            if self._is_poisoned():
                if self.rng.random() < 0.5:
                    delta.windows.append(msgspec.structs.replace(self._window(), name=POISON))
                else:
                    delta.spend.append(msgspec.structs.replace(self._spend("t"), trace_id=POISON))
        return deltas

    def _is_poisoned(self) -> bool:
        return self.poison > 0 and self.rng.random() < self.poison

    def poisoned(self) -> list[Delta]:
        """The deltas that raise."""
        return [
            delta
            for records in self.records.values()
            for r in records
            for delta in r
            if raises(delta)
        ]

    def _window(self) -> WindowDelta:
        start_s = NOW_S // 10 * 10 - 10 * self.rng.randint(0, 3)
        return WindowDelta(
            start_s,
            "prod",
            self.rng.choice(MODELS),
            "name",
            self.rng.choice([1, 2]),
            self.rng.choice([0, 1]),
            self.rng.randint(0, 50),
            {"input": self.rng.randint(0, 9)},
            {self.rng.randint(0, 5): 1},
        )

    def _spend(self, trace_id: str) -> SpendDelta:
        bucket_s = NOW_S // 900 * 900 - 900 * self.rng.choice([0, 0, 1, 40, 60, 100])
        bucket_s += 10 * self.rng.randint(0, 89)
        lowest = -30 if self.corrections else 0
        user, model = self.rng.choice(USERS), self.rng.choice(MODELS)
        session = self.rng.choice(("", "s1"))
        return SpendDelta(
            bucket_s,
            user,
            model,
            "prod",
            self.rng.randint(lowest, 40),
            trace_id,
            *(self.rng.randint(lowest // 10, 4) for _ in range(5)),
            session,
            unpriced=self.rng.randint(lowest // 10, 4),
        )

    def totals(self) -> tuple[dict[tuple, tuple], dict[tuple, tuple]]:
        """What every window and every spend cell must hold: each source record once."""
        windows: dict[tuple, list] = defaultdict(lambda: [0, 0, 0, Counter(), Counter()])
        spend: dict[tuple, list[int]] = defaultdict(lambda: [0] * 7)
        for delta in (d for records in self.records.values() for r in records for d in r):
            if raises(delta):
                continue
            for w in delta.windows:
                total = windows[delta.project_id, w.window_s, w.environment, w.model, w.name]
                total[0] += w.observations
                total[1] += w.errors
                total[2] += w.cost_pico
                total[3].update(w.usage)
                total[4].update(w.latency_bins)
            for s in delta.spend:
                start_s = s.bucket_s // 900 * 900
                cell = spend[delta.project_id, start_s, *spend_key_of_delta(s)]
                for at, amount in enumerate(amounts_of(s)):
                    cell[at] += amount
        exact = {
            key: (t[0], t[1], t[2], {k: n for k, n in t[3].items() if n}, dict(t[4]))
            for key, t in windows.items()
        }
        return exact, {key: tuple(amounts) for key, amounts in spend.items()}


def amounts_of(change: SpendDelta) -> tuple[int, ...]:
    """Return the amounts of a change: cost, counts and tokens."""
    return (
        change.cost_pico,
        change.observations,
        change.errors,
        change.input_tokens,
        change.output_tokens,
        change.total_tokens,
        change.unpriced,
    )
