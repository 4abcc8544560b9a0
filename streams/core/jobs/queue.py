"""Choose due jobs to run, with a limit per target, so that a slow target delays no others."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Collection, Iterator


class JobQueue:
    """A queue of job ids, ordered by the time of the next attempt.

    Targets are served round robin. An owner (a project) may start an attempt only while its
    running attempts are fewer than the free ones, so that it never takes all free capacity.
    """

    def __init__(self, *, per_target_max: int, running_max: int) -> None:
        self._per_target_max = per_target_max
        self._running_max = running_max
        self._waiting: list[tuple[int, str, str]] = []
        """Heap of waiting jobs; entries of jobs that were made due early are outdated."""
        self._entries: dict[str, int] = {}
        """The time of each job's latest entry of the heap."""
        self._times: dict[str, int] = {}
        """When waiting jobs are due."""
        self._retries: dict[str, set[str]] = {}
        """Waiting jobs with a failed attempt, by target."""
        self._due: dict[str, deque[str]] = {}
        self._members: set[str] = set()
        self._owners: dict[str, str] = {}
        """The owner of each target with queued jobs."""
        self._jobs_of_target: Counter[str] = Counter()
        self._running_at: Counter[str] = Counter()
        self._running_for: Counter[str] = Counter()
        self.running = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._members

    def put(
        self, job_id: str, target: str, at_us: int, owner: str = "", *, is_retry: bool = False
    ) -> None:
        """Queue a job for an attempt at ``at_us``, unless it is queued or running.

        Args:
            job_id: the job.
            target: the system that receives its attempts; a target has one owner.
            at_us: time when the attempt is due.
            owner: the unit of fair sharing of capacity; by default the target.
            is_retry: whether an attempt failed, so that the job can be made due early.
        """
        if job_id in self._members:
            return
        self._members.add(job_id)
        self._owners[target] = owner or target
        self._jobs_of_target[target] += 1
        self._times[job_id] = at_us
        if is_retry:
            self._retries.setdefault(target, set()).add(job_id)
        if self._entries.get(job_id) != at_us:
            self._entries[job_id] = at_us
            heapq.heappush(self._waiting, (at_us, job_id, target))

    def start(self, now_us: int) -> Iterator[tuple[str, str]]:
        """Yield ``(job, target)`` of the attempts to start now; the caller calls ``done``."""
        while (next_us := self.next_us()) is not None and next_us <= now_us:
            _, job_id, target = self._waiting[0]
            self.make_due(job_id, target)
        while ready := [target for target in self._due if self._may_run(target)]:
            for target in ready:
                if not self._may_run(target):  # the capacity was used up in this round
                    continue
                jobs = self._due.pop(target)
                job_id = jobs.popleft()
                if jobs:
                    self._due[target] = jobs  # at the end: round robin
                self._running_at[target] += 1
                self._running_for[self._owners[target]] += 1
                self.running += 1
                yield job_id, target

    def _may_run(self, target: str) -> bool:
        free = self._running_max - self.running
        return (
            self._running_at[target] < self._per_target_max
            and self._running_for[self._owners[target]] < free
        )

    def done(self, job_id: str, target: str) -> None:
        """End an attempt; the job may be queued again."""
        self._members.discard(job_id)
        self.running -= 1
        _decrement(self._running_at, target)
        _decrement(self._running_for, self._owners[target])
        _decrement(self._jobs_of_target, target)
        if target not in self._jobs_of_target:
            del self._owners[target]

    def has_jobs(self, target: str) -> bool:
        """Return whether a target has queued or running jobs."""
        return target in self._jobs_of_target

    def has_due(self, target: str) -> bool:
        """Return whether due jobs of a target wait for capacity."""
        return target in self._due

    def retries_of(self, target: str) -> Collection[str]:
        """Return the waiting jobs of a target that have a failed attempt."""
        return self._retries.get(target, ())

    def make_due(self, job_id: str, target: str) -> None:
        """Make a waiting job due, after the due jobs of its target."""
        del self._times[job_id]
        retries = self._retries.get(target)
        if retries is not None:
            retries.discard(job_id)
            if not retries:
                del self._retries[target]
        self._due.setdefault(target, deque()).append(job_id)

    def next_us(self) -> int | None:
        """Return the earliest time of jobs that are not due yet; None if there are none."""
        while self._waiting:
            at_us, job_id, _ = self._waiting[0]
            if self._times.get(job_id) == at_us:
                return at_us
            heapq.heappop(self._waiting)
            if self._entries.get(job_id) == at_us:
                del self._entries[job_id]
        return None

    @property
    def has_waiting(self) -> bool:
        """Return whether due jobs wait for capacity."""
        return bool(self._due)

    @property
    def is_limited_in_total(self) -> bool:
        """Return whether a due job waits because of the limit in total or that of its owner."""
        return any(self._running_at[target] < self._per_target_max for target in self._due)

    @property
    def is_limited_by_target(self) -> bool:
        """Return whether a due job waits because of the limit of its target."""
        return any(self._running_at[target] >= self._per_target_max for target in self._due)


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
