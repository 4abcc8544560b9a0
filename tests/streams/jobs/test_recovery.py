"""Deliveries to a receiver that was down follow promptly once it is back, however few had failed.

Time is simulated, with the default settings of webhooks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.core.jobs.book import Job, JobBook
from streams.core.jobs.circuits import Circuits
from streams.core.jobs.queue import JobQueue
from streams.core.jobs.state import Failed, JobState, Outcome, Postponed, Succeeded
from streams.notifications.settings import NotifierSettings

SECOND_US = 1_000_000
LIMITS = NotifierSettings().limits()
SKIPPED = Failed("not attempted", by_target=False)
DOWN = Failed("down")


@dataclass
class Worker:
    """A worker on simulated time; ``restart`` keeps only what is on the logs."""

    answer: Callable[[Job, float], Outcome]
    """The outcome of contacting a receiver, by job and time in seconds."""
    now_us: int = 0
    source: list[Job] = field(default_factory=list)
    states: dict[str, JobState] = field(default_factory=dict)
    contacts: list[tuple[float, str]] = field(default_factory=list)
    """Times and jobs of contacts with receivers."""
    succeeded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.book: JobBook[Job] = JobBook(
            JobQueue(per_target_max=LIMITS.attempts_per_target_max, running_max=100),
            LIMITS.retry_schedule_s,
            age_max_us=10**15,
            memory_us=10**15,
            circuits=Circuits(
                failures_max=LIMITS.circuit_failures_max,
                pause_us=int(LIMITS.circuit_pause_s * SECOND_US),
                pause_max_us=int(LIMITS.circuit_pause_max_s * SECOND_US),
            ),
        )
        for job_id, state in self.states.items():
            self.book.load_state(job_id, state)
        self.book.add(self.source, self.now_us)

    def add(self, *jobs: Job) -> None:
        self.source += jobs
        self.book.add(jobs, self.now_us)

    def run(self, until_s: float) -> None:
        """Attempt everything that is due until a time; attempts take no time."""
        while True:
            began = list(self.book.start(self.now_us))
            for job, may_contact in began:
                outcome = self._contact(job) if may_contact else SKIPPED
                self.book.update_circuit(job, outcome, self.now_us)
                self.states[job.id] = self.book.after(job, outcome, self.now_us, 0)
                self.book.finish(job, self.states[job.id])
            next_us = self.book.next_us()
            if not began:
                if next_us is None or next_us > until_s * SECOND_US:
                    self.now_us = int(until_s * SECOND_US)
                    return
                self.now_us = max(self.now_us, next_us)

    def _contact(self, job: Job) -> Outcome:
        now_s = self.now_us / SECOND_US
        self.contacts.append((now_s, job.id))
        outcome = self.answer(job, now_s)
        if isinstance(outcome, Succeeded):
            self.succeeded.append(job.id)
        return outcome


def job(number: int, target: str = "t", **fields: int | str) -> Job:
    return Job(f"{target}{number}", target, "p", number, **fields)


@given(
    episodes=st.integers(1, 8),
    sent_s=st.integers(0, 599),
    interval_s=st.integers(1, 200),
    restart_s=st.none() | st.integers(0, 599),
)
def test_after_ten_minutes_everything_arrives_once_and_in_order_within_two_pauses(
    episodes: int, sent_s: int, interval_s: int, restart_s: int | None
) -> None:
    worker = Worker(lambda job, now_s: Succeeded() if now_s >= 600 or job.target == "u" else DOWN)
    due = [
        (min(sent_s + interval_s * number, 599), job(2 * number + part, target, order_key=key))
        for number in range(episodes)
        for target in ("t", "u")
        for key in (f"{target}/{number}",)
        for part in (0, 1)
    ]
    steps: list[tuple[int, Job | None]] = [*due]
    if restart_s is not None:
        steps.append((restart_s, None))
    for at_s, added in sorted(steps, key=lambda step: step[0]):
        worker.run(at_s)
        if added is None:
            worker.restart()
        else:
            worker.add(added)
            worker.run(at_s)
    worker.run(599)
    others = [each.id for _, each in due if each.target == "u"]
    assert sorted(worker.succeeded) == sorted(others), "another receiver is not affected"
    worker.run(600 + LIMITS.circuit_pause_max_s + LIMITS.circuit_pause_s)
    assert Counter(worker.succeeded) == Counter(each.id for _, each in due)
    for number in range(episodes):
        first, second = (worker.succeeded.index(f"t{2 * number + part}") for part in (0, 1))
        assert first < second


def test_a_success_of_any_delivery_makes_those_that_wait_due_in_order() -> None:
    worker = Worker(lambda _, now_s: Succeeded() if now_s >= 17 else DOWN)
    worker.add(job(0, order_key="e"), job(1, order_key="e"))
    worker.run(16)
    worker.add(job(3))
    worker.run(17)
    assert worker.succeeded == []
    worker.add(job(2))
    worker.run(17)
    assert worker.succeeded == ["t2", "t0", "t3", "t1"]


def test_a_receiver_that_stays_down_is_given_up_after_the_schedule() -> None:
    worker = Worker(lambda *_: DOWN)
    worker.add(job(0))
    total_s = sum(LIMITS.retry_schedule_s)
    worker.run(total_s - 1)
    assert worker.states["t0"].status == "pending"
    worker.run(total_s + LIMITS.circuit_pause_max_s)
    state = worker.states["t0"]
    assert (state.status, state.attempts) == ("exhausted", len(LIMITS.retry_schedule_s) + 1)
    times = [at_s for at_s, _ in worker.contacts]
    assert len(times) <= total_s / LIMITS.circuit_pause_max_s + 20, "probes are bounded"
    worker.run(2 * total_s)
    assert len(worker.contacts) == len(times)


def test_a_delivery_that_always_fails_is_not_attempted_with_every_success_of_others() -> None:
    worker = Worker(lambda job, _: DOWN if job.id == "t0" else Succeeded())
    worker.add(job(0))
    for second in range(1, 3_600):
        worker.add(job(second))
        worker.run(second)
    assert len(worker.succeeded) == 3_599
    attempts = sum(each == "t0" for _, each in worker.contacts)
    assert attempts <= 2 * 3_600 / LIMITS.circuit_pause_max_s + 20
    assert worker.states["t0"].attempts == 4, "early attempts do not count"


def test_a_delivery_that_always_fails_does_not_keep_others_waiting() -> None:
    worker = Worker(lambda job, now_s: DOWN if now_s < 600 or job.id == "t0" else Succeeded())
    worker.add(job(0), job(1))
    worker.run(600 + 3 * LIMITS.circuit_pause_max_s)
    assert worker.succeeded == ["t1"]


def test_a_requested_pause_is_kept_by_probes_also_after_a_restart() -> None:
    refused = Failed("busy", retry_after_s=900)
    worker = Worker(lambda _, now_s: refused if now_s < 890 else Succeeded())
    worker.add(job(0), job(1))
    worker.run(100)
    worker.restart()
    worker.run(899)
    assert worker.contacts == [(0, "t0"), (0, "t1")]
    worker.run(900)
    assert worker.succeeded == ["t0", "t1"]


def test_what_is_not_due_yet_is_not_attempted_with_a_recovery() -> None:
    worker = Worker(lambda _, now_s: Succeeded() if now_s >= 100 else DOWN)
    worker.add(job(0), job(1, due_us=5_000 * SECOND_US))
    worker.run(200)
    assert worker.succeeded == ["t0"]


def test_a_probe_that_must_wait_is_not_repeated_at_once() -> None:
    answers = iter([DOWN, DOWN, *[Postponed("rate", 10_000 * SECOND_US)] * 100])
    worker = Worker(lambda *_: next(answers))
    worker.add(job(0))
    worker.run(600)
    assert len(worker.contacts) <= 20


def test_a_delivery_that_cannot_be_attempted_is_not_repeated_at_once() -> None:
    answers = iter([DOWN, *[Failed("unsupported", by_target=False)] * 100])
    worker = Worker(lambda *_: next(answers))
    worker.add(job(0))
    worker.run(600)
    assert len(worker.contacts) <= 20


def test_a_failure_that_is_written_after_a_success_is_probed() -> None:
    worker = Worker(lambda *_: Succeeded())
    worker.add(job(0), job(1))
    [(first, _), (second, _)] = worker.book.start(0)
    worker.book.update_circuit(first, DOWN, 0)
    failed = worker.book.after(first, DOWN, 0, 0)
    worker.book.update_circuit(second, Succeeded(), 0)
    worker.book.finish(second, worker.book.after(second, Succeeded(), 0, 0))
    worker.book.finish(first, failed)
    worker.run(0)
    assert worker.succeeded == [], "its own retry follows soon"
    worker.run(5)
    assert worker.succeeded == ["t0"]
