"""Keep the jobs of one kind: those that are pending, when each is due, and how each ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from streams.core.jobs.circuits import Circuits
from streams.core.jobs.queue import JobQueue
from streams.core.jobs.sequences import Sequences
from streams.core.jobs.state import (
    Dropped,
    Failed,
    JobState,
    Outcome,
    Postponed,
    Succeeded,
    after_attempt,
    probed,
)

SECOND_US: Final = 1_000_000


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
    flow: str = field(default="", kw_only=True)
    """The unit of fair sharing of a target's attempts, such as a rule: a burst of one flow does not
    delay the jobs of another."""
    is_urgent: bool = field(default=False, kw_only=True)
    """Whether the job precedes the others that are due at its target."""


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
    """Jobs that are attempted before they are due, because their target may have recovered."""
    _failing: set[str] = field(default_factory=set)
    """Jobs whose target failed, or was not contacted, until the attempt is finished."""

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
                    self.circuits.restore_failure(job.target, state.refused_until_us)
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
            retries = self.queue.retries_of(target)
            if not retries:
                self.circuits.postpone(target, now_us)
                continue
            next_us = min(self._states[job_id].next_attempt_us for job_id in retries)
            if not self.circuits.is_replaced(target, next_us, now_us):
                probe = min(retries, key=self._last_attempt)
                self._make_due(probe, target)
                self.circuits.probe(target, probe)
        for job_id, target in self.queue.start(now_us):
            job = self._jobs[job_id]
            if not self._sequences.is_first(job.order_key, job_id):
                # An earlier job was added later; this one is queued again when that has ended.
                self._early.discard(job_id)
                self.circuits.released(target, job_id)
                self.queue.done(job_id, target)
                continue
            may_contact = self.circuits.admit(target, job_id, now_us)
            if not may_contact:
                self._failing.add(job_id)
            yield job, may_contact

    def next_us(self) -> int | None:
        """Return the time of the next attempt of a queued job, or of the next probe."""
        times = (self.queue.next_us(), self.circuits.next_us())
        return min((each for each in times if each is not None), default=None)

    def state_of(self, job: JobT) -> JobState:
        """Return the latest state of a job."""
        return self._states.get(job.id) or JobState()

    def after(self, job: JobT, outcome: Outcome, now_us: int, jitter: float) -> JobState:
        """Return the state after an attempt; it applies once it is passed to ``finish``."""
        state = self.state_of(job)
        is_early = job.id in self._early and now_us < state.next_attempt_us
        if is_early and isinstance(outcome, Failed):
            return probed(state, now_us, outcome.detail, retry_after_s=outcome.retry_after_s)
        return after_attempt(
            state,
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
        if isinstance(outcome, Succeeded) or (isinstance(outcome, Postponed) and outcome.again):
            self.queue.widen(job.target)
            recovery = self.circuits.succeeded(job.target, now_us)
            if recovery.resumes:
                for job_id in sorted(self.queue.retries_of(job.target), key=self._position):
                    self._make_due(job_id, job.target)
            return "closed" if recovery.closes else ""
        if isinstance(outcome, Failed) and outcome.by_target:
            self._failing.add(job.id)
            self.queue.narrow(job.target)
            refused_us = int(outcome.retry_after_s * SECOND_US)
            is_opened = self.circuits.failed(job.target, job.id, now_us, refused_us)
            return "opened" if is_opened else ""
        if not isinstance(outcome, Dropped):
            self.circuits.undecided(job.target, job.id, now_us)
        return ""

    def _make_due(self, job_id: str, target: str) -> None:
        """Make a job due early; a failure then does not count as one of its attempts."""
        self.queue.make_due(job_id, target)
        self._early.add(job_id)

    def _position(self, job_id: str) -> tuple[int, str]:
        return self._jobs[job_id].created_us, job_id

    def _last_attempt(self, job_id: str) -> tuple[int, int, str]:
        """Return the sort key of probes: jobs take turns, so that none that always fails blocks."""
        return self._states[job_id].updated_us, *self._position(job_id)

    def finish(self, job: JobT, state: JobState | None) -> None:
        """End an attempt; ``state`` was written to the log, or is None if writing failed."""
        self.queue.done(job.id, job.target)
        self.circuits.released(job.target, job.id)
        self._early.discard(job.id)
        is_failing = job.id in self._failing
        self._failing.discard(job.id)
        if state is None:
            return
        self._states[job.id] = state
        if state.status == "pending":
            self._queue_if_first(job)
            if is_failing:
                self.circuits.expect_probe(job.target)
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
            is_retry = state is not None and state.attempts > 0
            self.queue.put(
                job.id,
                job.target,
                due_us,
                job.project_id,
                is_retry=is_retry,
                flow=job.flow,
                is_urgent=job.is_urgent,
                created_us=job.created_us,
            )

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
        self.circuits.forget(self.queue.has_jobs, now_us)
        self.queue.forget_idle()
        return removed
