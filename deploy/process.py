"""Run a role: configure logs and the event loop, stop cleanly on a signal, report errors."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import uvloop

from deploy.freed_memory import keep_freed_memory
from deploy.logs import configure_logs
from deploy.settings import ProcessSettings

log = structlog.get_logger(__name__)

GC_THRESHOLDS: Final = (200_000, 50, 20)

Main = Callable[[ProcessSettings, asyncio.Event], Awaitable[None]]
"""Run until the event is set."""


def run_process(name: str, main: Main) -> int:
    """Run ``main`` until SIGINT or SIGTERM, or until it fails; return the exit code.

    The exit code is EX_CONFIG if a restart cannot help. A defect is shown with its traceback.
    """
    try:
        settings = ProcessSettings()
        configure_logs(name, level=settings.log_level)
        _tune_garbage_collector()
        keep_freed_memory()
        uvloop.run(_until_signalled(main, settings))
    except Exception as error:
        # Imported only after an error, because this imports the errors of all packages.
        from deploy.failures import exit_code_for, lines_for  # noqa: PLC0415

        lines = lines_for(error)
        if not lines:
            raise
        for line in lines:
            print(f"tracemill {name}: {line}", file=sys.stderr)
        return exit_code_for(error)
    return 0


def _tune_garbage_collector() -> None:
    """Collect cycles rarely, because reference counting frees nearly all objects of a batch."""
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
