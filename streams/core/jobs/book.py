"""Keep the jobs of one kind: those that are pending, when each is due, and how each ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from streams.core.jobs.queue import JobQueue
from streams.core.jobs.state import JobState, Outcome, after_attempt


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
    _jobs: dict[str, JobT] = field(default_factory=dict)
    """Jobs that have not ended."""
    _states: dict[str, JobState] = field(default_factory=dict)

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
            elif state is None or state.status == "pending":
                # The first version of a job is kept if it is created again.
                kept = self._jobs.setdefault(job.id, job)
                due_us = 0 if state is None else state.next_attempt_us
                self.queue.put(kept.id, kept.target, due_us, kept.project_id)
        return too_old

    def start(self, now_us: int) -> Iterator[JobT]:
        """Yield the jobs to attempt now; the caller calls ``finish`` after each attempt."""
        for job_id, _ in self.queue.start(now_us):
            yield self._jobs[job_id]

    def state_of(self, job: JobT) -> JobState:
        """Return the latest state of a job."""
        return self._states.get(job.id) or JobState()

    def after(self, job: JobT, outcome: Outcome, now_us: int, jitter: float) -> JobState:
        """Return the state after an attempt; it applies once it is passed to ``finish``."""
        return after_attempt(
            self.state_of(job),
            outcome,
            now_us,
            schedule_s=self.retry_schedule_s,
            jitter=jitter,
        )

    def finish(self, job: JobT, state: JobState | None) -> None:
        """End an attempt; ``state`` was written to the log, or is None if writing failed."""
        self.queue.done(job.id, job.target)
        if state is None:
            return
        self._states[job.id] = state
        if state.status == "pending":
            self.queue.put(job.id, job.target, state.next_attempt_us, job.project_id)
        else:
            del self._jobs[job.id]

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
        return removed
