"""Limit the exports that run at the same time, because each keeps a part of its rows in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from query_api import metrics
from query_api.errors import UnavailableError
from query_api.settings import QuerySettings

FULL_RETRY_S: Final = 10
"""When clients may try again if there are too many exports."""


class ExportSlots:
    """Counts the exports of a process and of each project, until they are released."""

    def __init__(self, settings: QuerySettings) -> None:
        self._settings = settings
        self._running: Counter[str] = Counter()

    def take(self, project_id: str) -> Callable[[], None]:
        """Count an export of a project, and return the function that ends it, to be called once.

        Raises:
            UnavailableError: there are too many exports.
        """
        for setting, running in (
            ("exports_max", self._running.total()),
            ("exports_per_project_max", self._running[project_id]),
        ):
            limit: int = getattr(self._settings, setting)
            if running >= limit:
                metrics.LIMITS_REACHED.labels(setting).inc()
                message = f"at most {limit} exports can run at the same time ({setting})"
                raise UnavailableError(message, retry_after_s=FULL_RETRY_S)
        self._running[project_id] += 1
        return partial(self._release, project_id)

    def _release(self, project_id: str) -> None:
        self._running[project_id] -= 1
        if not self._running[project_id]:
            del self._running[project_id]
