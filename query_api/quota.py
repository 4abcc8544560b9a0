"""Limit the records of one kind that an owner has, including those being written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from producers.control.record import ControlRecord
from query_api import metrics
from query_api.errors import ConflictError


class Quota:
    """Count records when their write begins, so that concurrent writes respect the limit.

    This is exact within a process. If n processes write at the same time, the limit can be exceeded
    by n - 1, because a process counts the records of other processes only after it has read them.
    """

    def __init__(self, kind: str, setting: str, limit: int) -> None:
        self._kind: Final = kind
        self._setting: Final = setting
        self._limit: Final = limit
        self._being_written: dict[str | None, set[str]] = {}

    @contextmanager
    def taken_by(self, record: ControlRecord, kept: Mapping[str, object]) -> Iterator[None]:
        """Count ``record`` while the block writes it.

        ``kept`` has the existing records of its owner, by id.

        Raises:
            ConflictError: the limit is reached.
        """
        owner = record.owner
        being_written = self._being_written.setdefault(owner, set())
        if len(kept.keys() | being_written) >= self._limit:
            metrics.LIMITS_REACHED.labels(self._setting).inc()
            whose = "the installation" if owner is None else "a project"
            raise ConflictError(f"{whose} has at most {self._limit} {self._kind}")
        being_written.add(record.id)
        try:
            yield
        finally:
            being_written.discard(record.id)
            if not being_written:
                self._being_written.pop(owner, None)
