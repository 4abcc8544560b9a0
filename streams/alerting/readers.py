"""Run the tasks that read in the background for a partition's evaluators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog

from streams.alerting import metrics
from streams.alerting.settings import AlertingSettings
from streams.core.dead_letters.texts import describe_error
from streams.runtime.restarts import keep_running

log: Final = structlog.get_logger(__name__)

Reader = Callable[[], Awaitable[None]]
"""Reads until it is cancelled."""


@asynccontextmanager
async def running_readers(
    readers: Mapping[str, Reader], partition: int, settings: AlertingSettings
) -> AsyncIterator[None]:
    """Run readers during the block.

    One that fails is logged, counted and restarted with backoff; the others and the evaluation go
    on. Otherwise, what it reads for would remain incomplete until the partition is restarted.
    """
    tasks = [
        asyncio.create_task(
            keep_running(
                read,
                first_pause_s=settings.restart_pause_s,
                pause_max_s=settings.restart_pause_max_s,
                on_failure=_failure_of(name, partition),
            ),
            name=f"alerting {name}-{partition}",
        )
        for name, read in readers.items()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _failure_of(name: str, partition: int) -> Callable[[Exception, float], None]:
    def failed(error: Exception, again_in_s: float) -> None:
        metrics.READER_RESTARTS.labels(name).inc()
        log.error(
            "alerting_reader_failed",
            reader=name,
            partition=partition,
            reason=describe_error(error),
            again_in_s=round(again_in_s, 1),
            exc_info=error,
        )

    return failed
