"""Workers die between any two effects: each job is done once or dead, and its attempts are counted.

Jobs with the same order key never overtake each other. Targets fail for a time, so that their
circuits open and close.

An attempt is followed by its dead letter, if it was the last, and by its state; a crash between the
attempt and its state repeats the attempt, and nothing else does.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from streams.core.jobs.book import Job, JobBook
from streams.core.jobs.circuits import Circuits
from streams.core.jobs.queue import JobQueue
from streams.core.jobs.state import Dropped, Failed, JobState, Outcome, Succeeded
from tests.simulation.fresh_seeds import fresh_seeds

SEEDS = [*range(60), *fresh_seeds(40)]
SCHEDULE_S = (1, 2, 4)
PER_TARGET, RUNNING = 2, 5
SECOND_US = 1_000_000


class Crash(Exception):
    """Ends the worker; its memory is lost."""


@dataclass
class World:
    """Everything that survives a worker: the two logs, the targets, the dead letters."""

    rng: random.Random
    crash_rate: float
    source: list[Job] = field(default_factory=list)
    states: list[tuple[str, bytes]] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    uncounted: Counter[str] = field(default_factory=Counter)
    """Attempts whose state was lost in a crash."""
    succeeded: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    now_us: int = 10**15
    circuit_failures_max: int = 0
    down: set[str] = field(default_factory=set)
    contacts: Counter[str] = field(default_factory=Counter)

    def may_crash(self) -> None:
        if self.rng.random() < self.crash_rate:
            raise Crash

    def compact(self) -> None:
        latest = {job_id: number for number, (job_id, _) in enumerate(self.states)}
        kept = set(latest.values())
        self.states = [each for number, each in enumerate(self.states) if number in kept]

    def write_jobs(self) -> None:
        """Write new jobs, and some that were written before, made a little later."""
        for _ in range(self.rng.randint(1, 5)):
            if self.source and self.rng.random() < 0.3:
                again = self.rng.choice(self.source)
                self.source.append(replace(again, created_us=self.now_us))
            else:
                target = f"t{self.rng.randint(0, 4)}"
                job_id = f"j{len(self.source)}"
                key = f"{target}/{self.rng.randint(0, 2)}" if self.rng.random() < 0.6 else ""
                job = Job(job_id, target, f"p{target}", self.now_us, order_key=key)
                self.source.append(job)


class Worker:
    """A job runner until it crashes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.book: JobBook[Job] = JobBook(
            JobQueue(per_target_max=PER_TARGET, running_max=RUNNING),
            SCHEDULE_S,
            age_max_us=10**15,
            memory_us=10**15,
            circuits=Circuits(
                failures_max=world.circuit_failures_max,
                pause_us=SECOND_US,
                pause_max_us=3 * SECOND_US,
            ),
        )
        for job_id, value in world.states:
            self.book.load_state(job_id, msgspec.json.decode(value, type=JobState))
        self.read_to = 0
        self.running: list[tuple[Job, bool]] = []
        self.read_source()

    def read_source(self) -> None:
        self.book.add(self.world.source[self.read_to :], self.world.now_us)
        self.read_to = len(self.world.source)

    def start(self) -> None:
        for job, may_contact in self.book.start(self.world.now_us):
            self.running.append((job, may_contact))
            earlier = self.world.source[: self.world.source.index(job)]
            assert not any(
                each.order_key == job.order_key and self.is_pending(each)
                for each in (earlier if job.order_key else ())
            ), "a job overtakes an earlier one"
        at = Counter(job.target for job, _ in self.running)
        assert len(self.running) <= RUNNING
        assert all(count <= PER_TARGET for count in at.values())
        assert len({job.id for job, _ in self.running}) == len(self.running)

    def is_pending(self, job: Job) -> bool:
        return self.book.state_of(job).status == "pending"

    def end_one(self) -> None:
        """1. Attempt. 2. Write the dead letter if it was the last. 3. Keep the state."""
        if not self.running:
            return
        world, rng = self.world, self.world.rng
        job, may_contact = self.running.pop(rng.randrange(len(self.running)))
        world.may_crash()
        outcome = self.outcome(job) if may_contact else Failed("open", by_target=False)
        world.contacts[job.target] += may_contact
        before = self.book.state_of(job)
        self.book.update_circuit(job, outcome, world.now_us)
        counts = self.book.after(job, outcome, world.now_us, 0).attempts > before.attempts
        if counts:
            world.attempts[job.id] += 1
            world.uncounted[job.id] += 1
        world.succeeded[job.id] += isinstance(outcome, Succeeded)
        world.may_crash()
        after = self.book.after(job, outcome, world.now_us, rng.random())
        if after.status == "exhausted":
            world.dead_letters[job.id] += 1
            world.may_crash()
        world.states.append((job.id, msgspec.json.encode(after)))
        if counts:
            world.uncounted[job.id] -= 1
        world.may_crash()
        self.book.finish(job, after)

    def outcome(self, job: Job) -> Outcome:
        if job.target in self.world.down:
            return Failed("down")
        drawn = self.world.rng.random()
        if drawn < 0.4:
            return Succeeded("fine")
        return Failed("no", self.world.rng.choice([0, 0, 30])) if drawn < 0.95 else Dropped("gone")

    def act(self) -> None:
        world, rng = self.world, self.world.rng
        action = rng.randrange(6)
        if rng.random() < 0.1:
            world.down ^= {f"t{rng.randint(0, 4)}"}
        if action == 0:
            world.write_jobs()
        elif action == 1:
            self.read_source()
        elif action == 2:
            world.now_us += rng.randint(0, 3 * SECOND_US)
        elif action == 3:
            self.start()
        else:
            self.end_one()

    def finish(self) -> None:
        self.read_source()
        self.world.down.clear()
        while len(self.book.queue):
            self.start()
            while self.running:
                self.end_one()
            self.world.now_us += SECOND_US


@pytest.mark.parametrize("seed", SEEDS)
def test_each_job_ends_and_only_a_lost_state_repeats_an_attempt(seed: int) -> None:
    rng = random.Random(seed)
    world = World(rng, crash_rate=rng.choice([0.0, 0.02, 0.1, 0.3]))
    world.circuit_failures_max = rng.choice([0, 1, 3])
    world.write_jobs()
    for _ in range(rng.randint(1, 30)):
        try:
            worker = Worker(world)
            for _ in range(rng.randint(1, 60)):
                worker.act()
        except Crash:
            pass
        if rng.random() < 0.3:
            world.compact()
    world.crash_rate = 0.0
    Worker(world).finish()

    states = {job_id: msgspec.json.decode(value, type=JobState) for job_id, value in world.states}
    assert set(states) == {job.id for job in world.source}
    for job_id, state in states.items():
        lost = world.uncounted[job_id]
        assert world.attempts[job_id] == state.attempts + lost, "an attempt is counted or was lost"
        assert state.attempts <= len(SCHEDULE_S) + 1
        if state.status == "done":
            assert 1 <= world.succeeded[job_id] <= 1 + lost
        elif state.status == "exhausted":
            assert state.attempts == len(SCHEDULE_S) + 1
            assert 1 <= world.dead_letters[job_id] <= 1 + lost
        else:
            assert state.status == "dropped"
        assert world.succeeded[job_id] <= (state.status == "done") + lost
