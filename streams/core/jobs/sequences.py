"""Keep jobs in order: each waits until the earlier ones with the same key have ended."""

from __future__ import annotations

from bisect import insort


class Sequences:
    """Pending jobs by order key, each with its position; only the first of a key may be attempted.

    Jobs with equal positions are in order of addition.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, list[tuple[int, int, str]]] = {}
        self._added = 0

    def add(self, key: str, job_id: str, position: int) -> None:
        """Add a pending job at its position."""
        self._added += 1
        insort(self._jobs.setdefault(key, []), (position, self._added, job_id))

    def is_first(self, key: str, job_id: str) -> bool:
        """Return whether no earlier job of the key is pending; True without a key."""
        jobs = self._jobs.get(key)
        return not jobs or jobs[0][2] == job_id

    def end(self, key: str, job_id: str) -> str | None:
        """Remove a job that has ended; return the one that may be attempted next."""
        jobs = self._jobs.get(key)
        if jobs is None:
            return None
        index = next((at for at, each in enumerate(jobs) if each[2] == job_id), None)
        if index is not None:  # nearly always the first
            del jobs[index]
        if not jobs:
            del self._jobs[key]
            return None
        return jobs[0][2]
