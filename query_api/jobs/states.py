"""Keep the states of the jobs of all projects, without I/O."""

from __future__ import annotations

from typing import Final

import msgspec

from query_api import metrics

OF_OTHER_LISTS: Final = frozenset({"channel_delivery"})
"""Kinds that have a list of their own."""


class _State(msgspec.Struct):
    """A value of the topic ``jobs``; a test compares it with what workers write."""

    status: str = "pending"
    attempts: int = 0
    next_attempt_us: int = 0
    updated_us: int = 0
    detail: str = ""
    project_id: str = ""
    created_us: int = 0


class JobState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The latest state of a job. Times are microseconds since the epoch; 0: there is none."""

    project_id: str
    kind: str
    id: str
    status: str
    """``pending``, ``done``, ``exhausted`` (a dead letter) or ``dropped``."""
    attempts: int
    """Attempts that ended a job or failed; a job that only waits has none."""
    next_attempt_us: int
    created_us: int
    updated_us: int
    detail: str


class JobStates:
    """The states by key.

    Above ``jobs_max``, the project with the most states forgets the one that changed the longest
    ago, so that no project can displace the states of another one that has fewer.
    """

    def __init__(self, jobs_max: int = 20_000) -> None:
        self._jobs_max = jobs_max
        self._states: dict[str, JobState] = {}
        self._of_project: dict[str, dict[str, JobState]] = {}
        """In each project, in the order in which they changed."""

    def apply(self, key: str, value: bytes | None) -> None:
        """Apply a record of the topic; without a value, it removes a state.

        Raises:
            msgspec.DecodeError: the value is not a state.
        """
        kind, _, job_id = key.partition("/")
        if kind in OF_OTHER_LISTS:
            return
        self._remove(key)
        if value is None:
            return
        read = msgspec.json.decode(value, type=_State)
        if not read.project_id:  # of a version that did not write it
            return
        state = JobState(
            project_id=read.project_id,
            kind=kind,
            id=job_id,
            status=read.status,
            attempts=read.attempts,
            next_attempt_us=read.next_attempt_us if read.status == "pending" else 0,
            created_us=read.created_us,
            updated_us=read.updated_us,
            detail=read.detail,
        )
        self._states[key] = state
        self._of_project.setdefault(state.project_id, {})[key] = state
        if len(self._states) > self._jobs_max:
            metrics.LIMITS_REACHED.labels("jobs_max").inc()
            most = max(self._of_project.values(), key=len)
            self._remove(next(iter(most)))

    def get(self, kind: str, job_id: str) -> JobState | None:
        """Return the state of a job; None if it was not attempted, or is forgotten."""
        return self._states.get(f"{kind}/{job_id}")

    def of(self, project_id: str) -> list[JobState]:
        """Return the jobs of a project, the one that changed last first."""
        found = self._of_project.get(project_id, {}).values()
        return sorted(found, key=lambda each: (each.updated_us, each.id), reverse=True)

    def _remove(self, key: str) -> None:
        state = self._states.pop(key, None)
        if state is not None:
            of_project = self._of_project[state.project_id]
            del of_project[key]
            if not of_project:
                del self._of_project[state.project_id]
