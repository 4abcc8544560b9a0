"""A limit on a project's records of one kind that holds while several are being written at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from producers.control.records import Budget, Webhook
from query_api import metrics
from query_api.errors import ConflictError

Kept = TypeVar("Kept", Budget, Webhook)


class Places:
    """A record takes its place before it is written, and others count it from then on.

    Within this process: as many processes as write at the same instant may together pass the limit by one less than their number,
    for each knows of the others' records once it has read them from the log.
    """

    def __init__(self, kind: str, setting: str, limit: int) -> None:
        self._kind: Final = kind
        self._setting: Final = setting
        self._limit: Final = limit
        self._being_written: dict[str, set[str]] = {}

    @contextmanager
    def taken_by(self, record: Kept, kept: Iterable[Kept]) -> Iterator[None]:
        """``record`` has a place while the block writes it; ``kept`` is all that is written, of all projects.

        Raises:
            ConflictError: there is none left.
        """
        project_id = record.project_id
        ids = {each.id for each in kept if each.project_id == project_id}
        being_written = self._being_written.setdefault(project_id, set())
        if len(ids | being_written) >= self._limit:
            metrics.LIMITS_REACHED.labels(self._setting).inc()
            raise ConflictError(f"a project has at most {self._limit} {self._kind}")
        being_written.add(record.id)
        try:
            yield
        finally:
            being_written.discard(record.id)
            if not being_written:
                self._being_written.pop(project_id, None)
