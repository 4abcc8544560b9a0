"""The life of a process: logs, an event loop, a clean stop on the first signal, one line for a failure that its reader can mend."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog
import uvloop

from clickhouse.errors import StoreError
from deploy.errors import DeployError
from deploy.logs import configure_logs
from deploy.settings import ProcessSettings
from producers.errors import ProducersError

log = structlog.get_logger(__name__)

GC_THRESHOLDS: Final = (50_000, 20, 50)

Main = Callable[[ProcessSettings, asyncio.Event], Awaitable[None]]
"""Runs until the event is set."""


def run_process(name: str, main: Main) -> int:
    """Run ``main`` until SIGINT or SIGTERM; the exit code."""
    settings = ProcessSettings()
    configure_logs(name, level=settings.log_level)
    _calm_the_collector()
    code = 0
    try:
        uvloop.run(_until_signalled(main, settings))
    except* (DeployError, StoreError, ProducersError) as errors:
        for error in _leaves(errors):
            print(f"tracemill {name}: {error}", file=sys.stderr)
        code = 1
    return code


def _calm_the_collector() -> None:
    """Look for cycles seldom: batches of events make many objects that reference counts free by themselves."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _leaves(errors: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _until_signalled(main: Main, settings: ProcessSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    log.info("started")
    await main(settings, stop)
    log.info("stopped")
