"""Keeps track of the jobs of one kind: what is to be attempted, when, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from streams.core.jobs.queue import JobQueue
from streams.core.jobs.state import JobState, Outcome, after_attempt


@dataclass(frozen=True, slots=True)
class Job:
    """One job. A kind subclasses it with what its attempts need."""

    id: str
    """Deterministic: the record that is read again creates the same job, which is done once."""
    target: str
    """What attempts burden: an endpoint, a model's provider."""
    project_id: str
    created_us: int


JobT = TypeVar("JobT", bound=Job)


@dataclass(slots=True)
class JobBook(Generic[JobT]):
    """The jobs and states of one kind, as its two logs give them.

    Read the states before the jobs: a job without a state is due now.
    """

    queue: JobQueue
    retry_schedule_s: Sequence[float]
    age_max_us: float
    """Older jobs that have no state are not begun."""
    memory_us: float
    """States of jobs that ended, or that nothing created again, are forgotten after this time."""
    _jobs: dict[str, JobT] = field(default_factory=dict)
    """Jobs that are not ended."""
    _states: dict[str, JobState] = field(default_factory=dict)

    def load_state(self, job_id: str, state: JobState | None) -> None:
        """Take a state from the log, where None removes it."""
        if state is None:
            self._states.pop(job_id, None)
            return
        known = self._states.get(job_id)
        if known is None or known.updated_us <= state.updated_us:
            self._states[job_id] = state

    def add(self, jobs: Iterable[JobT], now_us: int) -> int:
        """Queue those of the jobs that are not ended; return how many are too old to begin."""
        too_old = 0
        for job in jobs:
            state = self._states.get(job.id)
            if state is None and job.created_us < now_us - self.age_max_us:
                too_old += 1
            elif state is None or state.status == "pending":
                # A job that is created again stays as it was created first.
                kept = self._jobs.setdefault(job.id, job)
                due_us = 0 if state is None else state.next_attempt_us
                self.queue.put(kept.id, kept.target, due_us, kept.project_id)
        return too_old

    def start(self, now_us: int) -> Iterator[JobT]:
        """Yield the jobs to attempt now; ``finish`` ends each attempt."""
        for job_id, _ in self.queue.start(now_us):
            yield self._jobs[job_id]

    def state_of(self, job: JobT) -> JobState:
        """Return the last state of a job."""
        return self._states.get(job.id) or JobState()

    def after(self, job: JobT, outcome: Outcome, now_us: int, jitter: float) -> JobState:
        """Return the state after an attempt; it counts once it is kept and given to ``finish``."""
        return after_attempt(
            self.state_of(job),
            outcome,
            now_us,
            schedule_s=self.retry_schedule_s,
            jitter=jitter,
        )

    def finish(self, job: JobT, state: JobState | None) -> None:
        """End an attempt with the state that was kept; None if none was."""
        self.queue.done(job.id, job.target)
        if state is None:
            return
        self._states[job.id] = state
        if state.status == "pending":
            self.queue.put(job.id, job.target, state.next_attempt_us, job.project_id)
        else:
            del self._jobs[job.id]

    def sweep(self, now_us: int) -> list[str]:
        """Forget old states; return the jobs whose states are to be removed from the log."""
        forget_us = now_us - self.memory_us
        removed = [
            job_id
            for job_id, state in self._states.items()
            if job_id not in self._jobs and max(state.updated_us, state.next_attempt_us) < forget_us
        ]
        for job_id in removed:
            del self._states[job_id]
        return removed
