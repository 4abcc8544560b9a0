"""The life of a process: logs, an event loop, a clean stop on the first signal, one line for a failure that its reader can mend."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import uvloop

from deploy.logs import configure_logs
from deploy.settings import ProcessSettings

log = structlog.get_logger(__name__)

GC_THRESHOLDS: Final = (200_000, 50, 20)

Main = Callable[[ProcessSettings, asyncio.Event], Awaitable[None]]
"""Runs until the event is set."""


def run_process(name: str, main: Main) -> int:
    """Run ``main`` until SIGINT or SIGTERM; the exit code, EX_CONFIG where trying again is in vain. A defect keeps its traceback."""
    try:
        settings = ProcessSettings()
        configure_logs(name, level=settings.log_level)
        _calm_the_collector()
        uvloop.run(_until_signalled(main, settings))
    except Exception as error:
        # It knows the errors of all rooms: imported when there is one, not at each start.
        from deploy.failures import exit_code_for, lines_for  # noqa: PLC0415

        lines = lines_for(error)
        if not lines:
            raise
        for line in lines:
            print(f"tracemill {name}: {line}", file=sys.stderr)
        return exit_code_for(error)
    return 0


def _calm_the_collector() -> None:
    """Look for cycles seldom: batches of events make many objects that reference counts free by themselves."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _until_signalled(main: Main, settings: ProcessSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    log.info("started")
    await main(settings, stop)
    log.info("stopped")
