"""Share what the tasks that read the store for a partition's rules and budgets have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from clickhouse.errors import StoreError
from clickhouse.store import Store
from streams.alerting import metrics
from streams.alerting.evaluation import Evaluation
from streams.alerting.settings import AlertingSettings

FAILURES: Final = (StoreError, OSError, TimeoutError)
"""What queries raise while the store does not answer."""

log: Final = structlog.get_logger(__name__)


class StoreReader:
    """Base of the tasks that read from the store what the stream does not have.

    Args:
        store: None if alerting has none; nothing is read then.
    """

    def __init__(
        self,
        store: Store | None,
        settings: AlertingSettings,
        evaluation: Evaluation,
        now_us: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._evaluation = evaluation
        self._now_us = now_us

    async def _rows(
        self, sql: str, params: Mapping[str, Any], unknown: str, **subject: str
    ) -> list[dict[str, Any]] | None:
        """Return the rows of a query; None without a store, or if it does not answer.

        A failure is logged as the event ``unknown`` of the ``subject``.
        """
        if self._store is None:
            return None
        try:
            return await self._store.query(sql, params)
        except FAILURES as error:
            count_failure(unknown, error, **subject)
            return None


def count_failure(unknown: str, error: Exception, **subject: str) -> None:
    """Count and log that values could not be read."""
    metrics.EARLIER_FAILURES.inc()
    log.warning(unknown, reason=repr(error), **subject)
