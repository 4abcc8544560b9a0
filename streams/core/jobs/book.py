"""Keep the jobs of one kind: those that are pending, when each is due, and how each ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from streams.core.jobs.circuits import Circuits
from streams.core.jobs.queue import JobQueue
from streams.core.jobs.sequences import Sequences
from streams.core.jobs.state import (
    Failed,
    JobState,
    Outcome,
    Succeeded,
    after_attempt,
    probed,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One job; each kind has a subclass with the input of its attempts."""

    id: str
    """Id that depends only on the record that creates the job, so that a record that is read again
    creates no second job."""
    target: str
    """The system that receives the attempts, such as an endpoint or a model provider."""
    project_id: str
    created_us: int
    order_key: str = field(default="", kw_only=True)
    """Jobs with the same key are attempted one after another, in order of creation; a job waits
    until the earlier ones have ended. Empty: the job waits for no other."""
    due_us: int = field(default=0, kw_only=True)
    """Time of the first attempt; by default, immediately."""


JobT = TypeVar("JobT", bound=Job)


@dataclass(slots=True)
class JobBook(Generic[JobT]):
    """The jobs of one kind, read from one log, and their states, read from another.

    Load the states before jobs are added, because a job without a state is due immediately.
    """

    queue: JobQueue
    retry_schedule_s: Sequence[float]
    age_max_us: float
    """Maximum age of a job without a state; older ones are never started."""
    memory_us: float
    """Time after which the states of ended jobs, and states without a job, are removed."""
    circuits: Circuits = field(
        default_factory=lambda: Circuits(failures_max=0, pause_us=0, pause_max_us=0)
    )
    _jobs: dict[str, JobT] = field(default_factory=dict)
    """Jobs that have not ended."""
    _states: dict[str, JobState] = field(default_factory=dict)
    _sequences: Sequences = field(default_factory=Sequences)
    _early: set[str] = field(default_factory=set)
    """Jobs that are attempted before they are due, to probe their target."""

    def load_state(self, job_id: str, state: JobState | None) -> None:
        """Apply a state from the log; None removes it."""
        if state is None:
            self._states.pop(job_id, None)
            return
        before = self._states.get(job_id)
        if before is None or before.updated_us <= state.updated_us:
            self._states[job_id] = state

    def add(self, jobs: Iterable[JobT], now_us: int) -> int:
        """Queue the jobs that have not ended; return the number of jobs that are too old."""
        too_old = 0
        for job in jobs:
            state = self._states.get(job.id)
            if state is None and job.created_us < now_us - self.age_max_us:
                too_old += 1
            elif (state is None or state.status == "pending") and job.id not in self._jobs:
                # The first version of a job is kept if it is created again.
                self._jobs[job.id] = job
                if state is not None and state.attempts:
                    self.circuits.restore_failure(job.target)
                if job.order_key:
                    self._sequences.add(job.order_key, job.id, job.created_us)
                self._queue_if_first(job)
        return too_old

    def start(self, now_us: int) -> Iterator[tuple[JobT, bool]]:
        """Yield the jobs to attempt, and whether their target may be contacted.

        If it may not, because its circuit is open, the attempt fails without contacting it. The
        caller calls ``finish`` after each attempt.
        """
        for target in self.circuits.probes_due(now_us):
            if self.queue.has_due(target):
                continue
            pulled = self.queue.pull(target)
            if pulled is None:
                self.circuits.postpone(target, now_us)
            else:
                self._early.add(pulled)
        for job_id, target in self.queue.start(now_us):
            job = self._jobs[job_id]
            if not self._sequences.is_first(job.order_key, job_id):
                # An earlier job was added later; this one is queued again when that has ended.
                self._early.discard(job_id)
                self.queue.done(job_id, target)
                continue
            yield job, self.circuits.admit(target, job_id, now_us)

    def next_us(self) -> int | None:
        """Return the time of the next attempt of a queued job, or of the next probe."""
        times = (self.queue.next_us(), self.circuits.next_us())
        return min((each for each in times if each is not None), default=None)

    def state_of(self, job: JobT) -> JobState:
        """Return the latest state of a job."""
        return self._states.get(job.id) or JobState()

    def after(self, job: JobT, outcome: Outcome, now_us: int, jitter: float) -> JobState:
        """Return the state after an attempt; it applies once it is passed to ``finish``."""
        if job.id in self._early and isinstance(outcome, Failed):
            return probed(self.state_of(job), now_us, outcome.detail)
        return after_attempt(
            self.state_of(job),
            outcome,
            now_us,
            schedule_s=self.retry_schedule_s,
            jitter=jitter,
        )

    def update_circuit(self, job: JobT, outcome: Outcome, now_us: int) -> str:
        """Apply an outcome to the circuit of the job's target; return how the circuit changed.

        Returns:
            ``opened``, ``closed`` or an empty string.
        """
        if isinstance(outcome, Succeeded):
            if not self.circuits.succeeded(job.target):
                return ""
            self.queue.expedite(job.target)
            return "closed"
        if isinstance(outcome, Failed) and outcome.by_target:
            return "opened" if self.circuits.failed(job.target, job.id, now_us) else ""
        return ""

    def finish(self, job: JobT, state: JobState | None) -> None:
        """End an attempt; ``state`` was written to the log, or is None if writing failed."""
        self.queue.done(job.id, job.target)
        self.circuits.released(job.target, job.id)
        self._early.discard(job.id)
        if state is None:
            return
        self._states[job.id] = state
        if state.status == "pending":
            self._queue_if_first(job)
            return
        del self._jobs[job.id]
        following = self._sequences.end(job.order_key, job.id)
        if following is not None:
            self._queue_if_first(self._jobs[following])

    def _queue_if_first(self, job: JobT) -> None:
        """Queue a job, unless an earlier one of its order key is pending."""
        if self._sequences.is_first(job.order_key, job.id):
            state = self._states.get(job.id)
            due_us = job.due_us if state is None else state.next_attempt_us
            self.queue.put(job.id, job.target, due_us, job.project_id)

    def sweep(self, now_us: int) -> list[str]:
        """Remove old states; return the jobs whose states must be removed from the log."""
        forget_us = now_us - self.memory_us
        removed = [
            job_id
            for job_id, state in self._states.items()
            if job_id not in self._jobs and max(state.updated_us, state.next_attempt_us) < forget_us
        ]
        for job_id in removed:
            del self._states[job_id]
        self.circuits.forget(self.queue.has_jobs)
        return removed
