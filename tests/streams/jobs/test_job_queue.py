"""The queue runs one attempt per job, few per target, and shares capacity between owners."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.core.jobs.queue import JobQueue


def test_an_owner_with_many_dead_targets_leaves_attempts_to_others() -> None:
    queue = JobQueue(per_target_max=4, running_max=16)
    for target in range(40):
        for number in range(4):
            queue.put(f"dead/{target}/{number}", f"dead/{target}", 0, "greedy")
    greedy = list(queue.start(0))
    assert len(greedy) == 8
    assert queue.has_waiting
    assert queue.is_limited_in_total
    for owner in ("modest", "late"):
        queue.put(f"{owner}/job", f"{owner}/target", 1, owner)
    assert {job for job, _ in queue.start(1)} == {"modest/job", "late/job"}


def test_many_targets_that_do_not_answer_delay_no_target_of_the_same_owner_that_does() -> None:
    queue = JobQueue(per_target_max=4, running_max=256)
    queue.widen("alive")
    for target in range(50):
        for number in range(10):
            queue.put(f"dead/{target}/{number}", f"dead/{target}", 0, "owner")
    dead = Counter(target for _, target in queue.start(0))
    assert len(dead) == 50, "each is attempted"
    for number in range(9):
        queue.put(f"alive/{number}", "alive", 1, "owner")
    assert [target for _, target in queue.start(1)] == ["alive"] * 4


def test_a_target_that_fails_gets_one_attempt_at_a_time_until_one_succeeds() -> None:
    queue = JobQueue(per_target_max=4, running_max=7)
    for number in range(9):
        queue.put(f"{number}", "t", 0)
    [(job, _)] = queue.start(0)
    queue.widen("t")
    assert len(list(queue.start(0))) == 3
    queue.narrow("t")
    for done in (job, "1", "2", "3"):
        queue.done(done, "t")
    assert len(list(queue.start(0))) == 1


def test_of_the_jobs_that_are_due_after_an_outage_the_oldest_is_first() -> None:
    queue = JobQueue(per_target_max=9, running_max=99)
    for job, at_us, created_us in (("a", 0, 30), ("c", 5, 10), ("b", 9, 20), ("d", 2, 10)):
        queue.put(job, "t", at_us, flow="rule", created_us=created_us)
    assert [job for job, _ in queue.start(9)] == ["c", "d", "b", "a"]


def test_targets_are_served_round_robin() -> None:
    queue = JobQueue(per_target_max=1, running_max=1)
    for number in range(2):
        for target in "abc":
            queue.put(f"{target}{number}", target, 0)
    order = []
    while queue.has_waiting or not order:
        [(job, target)] = queue.start(0)
        order.append(job)
        queue.done(job, target)
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), max_size=30), st.integers(1, 5))
def test_every_job_runs_once_it_is_due(jobs: list[tuple[int, int]], running_max: int) -> None:
    queue = JobQueue(per_target_max=2, running_max=running_max)
    for number, (target, at_us) in enumerate(jobs):
        queue.put(str(number), f"t{target}", at_us, f"o{target % 2}")
    ran: Counter[str] = Counter()
    while len(queue):
        started = list(queue.start(20))
        assert started, "jobs are due and none runs"
        for job, target in started:
            ran[job] += 1
            queue.done(job, target)
    assert ran == Counter(str(number) for number in range(len(jobs)))


class AnyOrder(RuleBasedStateMachine):
    """Jobs come, run and end in any order."""

    PER_TARGET, RUNNING = 2, 6

    def __init__(self) -> None:
        super().__init__()
        self.queue = JobQueue(per_target_max=self.PER_TARGET, running_max=self.RUNNING)
        self.running: list[tuple[str, str]] = []
        self.now_us = 0

    @rule(number=st.integers(0, 30), pause_us=st.integers(0, 5))
    def put(self, number: int, pause_us: int) -> None:
        target = f"t{number % 7}"
        self.queue.put(f"j{number}", target, self.now_us + pause_us, f"o{number % 7 % 3}")

    @rule(passed_us=st.integers(0, 3))
    def start(self, passed_us: int) -> None:
        self.now_us += passed_us
        self.running += self.queue.start(self.now_us)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.running) - 1))
        self.queue.done(*self.running.pop(number))

    @invariant()
    def limits_hold(self) -> None:
        assert self.queue.running == len(self.running) <= self.RUNNING
        assert len({job for job, _ in self.running}) == len(self.running)
        at = Counter(target for _, target in self.running)
        assert all(count <= self.PER_TARGET for count in at.values())


TestAnyOrder = AnyOrder.TestCase
