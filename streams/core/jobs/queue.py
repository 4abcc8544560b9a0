"""Choose due jobs to run, with a limit per target, so that a slow target delays no others."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from streams.core.jobs.due_jobs import DueJobs

CAUTIOUS_SHARE: Final = 8
"""An owner with at least this fraction of all attempts running gives each target that has not
answered one at a time."""


class JobQueue:
    """A queue of job ids, ordered by the time of the next attempt.

    Of the jobs that are due at once, such as after an outage, the oldest is first.

    Targets are served round robin, and so are the flows of a target. An owner (a project) may
    start an attempt only while its running attempts are fewer than the free ones, so that it never
    takes all free capacity.

    While an owner has many running attempts, those of its targets whose last attempt did not
    succeed run one by one: otherwise, targets that do not answer would hold all its capacity.
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
        self._ages: dict[str, tuple[int, int]] = {}
        """Of each waiting job, the time of its creation and its number in order of addition."""
        self._added = 0
        self._retries: dict[str, set[str]] = {}
        """Waiting jobs with a failed attempt, by target."""
        self._flows: dict[str, tuple[str, bool]] = {}
        """The flow of each waiting job, and whether the job is urgent."""
        self._due: dict[str, DueJobs] = {}
        self._members: set[str] = set()
        self._owners: dict[str, str] = {}
        """The owner of each target with queued jobs."""
        self._wide: set[str] = set()
        """Targets whose last attempt succeeded."""
        self._jobs_of_target: Counter[str] = Counter()
        self._running_at: Counter[str] = Counter()
        self._running_for: Counter[str] = Counter()
        self.running = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._members

    def put(
        self,
        job_id: str,
        target: str,
        at_us: int,
        owner: str = "",
        *,
        is_retry: bool = False,
        flow: str = "",
        is_urgent: bool = False,
        created_us: int = 0,
    ) -> None:
        """Queue a job for an attempt at ``at_us``, unless it is queued or running.

        Args:
            job_id: the job.
            target: the system that receives its attempts; a target has one owner.
            at_us: time when the attempt is due.
            owner: the unit of fair sharing of capacity; by default the target.
            is_retry: whether an attempt failed, so that the job can be made due early.
            flow: the unit of fair sharing of the target's attempts.
            is_urgent: whether the job precedes the others of its target.
            created_us: creation of the job.
        """
        if job_id in self._members:
            return
        self._members.add(job_id)
        self._owners[target] = owner or target
        self._jobs_of_target[target] += 1
        self._times[job_id] = at_us
        self._added += 1
        self._ages[job_id] = created_us, self._added
        self._flows[job_id] = flow, is_urgent
        if is_retry:
            self._retries.setdefault(target, set()).add(job_id)
        if self._entries.get(job_id) != at_us:
            self._entries[job_id] = at_us
            heapq.heappush(self._waiting, (at_us, job_id, target))

    def start(self, now_us: int) -> Iterator[tuple[str, str]]:
        """Yield ``(job, target)`` of the attempts to start now; the caller calls ``done``."""
        due: list[tuple[tuple[int, int], str, str]] = []
        while (next_us := self.next_us()) is not None and next_us <= now_us:
            _, job_id, target = self._waiting[0]
            del self._times[job_id]
            due.append((self._ages[job_id], job_id, target))
        for _, job_id, target in sorted(due):
            self._put_due(job_id, target)
        while ready := [target for target in self._due if self._may_run(target)]:
            for target in ready:
                if not self._may_run(target):  # the capacity was used up in this round
                    continue
                jobs = self._due.pop(target)
                job_id = jobs.take()
                if jobs:
                    self._due[target] = jobs  # at the end: round robin
                self._running_at[target] += 1
                self._running_for[self._owners[target]] += 1
                self.running += 1
                yield job_id, target

    def _may_run(self, target: str) -> bool:
        free = self._running_max - self.running
        return (
            self._running_at[target] < self._limit_of(target)
            and self._running_for[self._owners[target]] < free
        )

    def _limit_of(self, target: str) -> int:
        is_wide = (
            target in self._wide
            or self._running_for[self._owners[target]] < self._running_max // CAUTIOUS_SHARE
        )
        return self._per_target_max if is_wide else 1

    def widen(self, target: str) -> None:
        """Note that an attempt at a target succeeded, so that more may run at the same time."""
        self._wide.add(target)

    def narrow(self, target: str) -> None:
        """Note that an attempt at a target failed, so that further ones run one by one."""
        self._wide.discard(target)

    def forget_idle(self) -> None:
        """Forget what is known of targets without jobs."""
        self._wide &= self._jobs_of_target.keys()

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
        """Make a waiting job due, after the due jobs of its flow."""
        del self._times[job_id]
        self._put_due(job_id, target)

    def _put_due(self, job_id: str, target: str) -> None:
        del self._ages[job_id]
        retries = self._retries.get(target)
        if retries is not None:
            retries.discard(job_id)
            if not retries:
                del self._retries[target]
        flow, is_urgent = self._flows.pop(job_id)
        self._due.setdefault(target, DueJobs()).put(job_id, flow, is_urgent=is_urgent)

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
        return any(self._running_at[target] < self._limit_of(target) for target in self._due)

    @property
    def is_limited_by_target(self) -> bool:
        """Return whether a due job waits because of the limit of its target."""
        return any(self._running_at[target] >= self._limit_of(target) for target in self._due)


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
