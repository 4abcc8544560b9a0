"""The life of a process: logs, an event loop, a clean stop on the first signal, one line for a failure that its reader can mend."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from deploy.errors import DeployError
from deploy.logs import configure_logs
from deploy.settings import ProcessSettings

log = structlog.get_logger(__name__)

Main = Callable[[ProcessSettings, asyncio.Event], Awaitable[None]]
"""Runs until the event is set."""


def run_process(name: str, main: Main) -> int:
    """Run ``main`` until SIGINT or SIGTERM; the exit code."""
    settings = ProcessSettings()
    configure_logs(name, level=settings.log_level)
    try:
        uvloop.run(_until_signalled(main, settings))
    except DeployError as error:
        print(f"tracemill {name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


async def _until_signalled(main: Main, settings: ProcessSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    log.info("started")
    await main(settings, stop)
    log.info("stopped")
