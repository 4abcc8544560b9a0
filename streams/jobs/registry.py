"""Register the kinds of jobs."""

from __future__ import annotations

from typing import Any, Final

from producers.registration import ByName, subclasses_in
from streams.jobs import kinds
from streams.jobs.kind import JobKind


class JobKinds(ByName[type[JobKind[Any]]]):
    """The kinds of jobs by name."""

    def __init__(self, *registered: type[JobKind[Any]]) -> None:
        """Register kinds.

        Raises:
            ValueError: two kinds have the same name.
        """
        super().__init__("kinds of jobs", ((kind.name, kind) for kind in registered))


_found = subclasses_in(kinds, JobKind)  # type: ignore[type-abstract]  # no instance is made
KINDS: Final = JobKinds(*_found)
"""All kinds of jobs."""
