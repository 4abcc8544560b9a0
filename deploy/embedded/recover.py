"""Run `tracemill recover`, with embedded engines if no other ones are given."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import typer

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.embedded.credentials import ensure_credentials
from deploy.embedded.data_dir import data_dir_lock, open_installation, read_installation
from deploy.embedded.disk_guard import DiskGuard
from deploy.embedded.roles import EMBEDDED, UpOptions, embedded_broker, processes
from deploy.errors import DeployError
from deploy.failures import exit_code_for, lines_for
from deploy.installation_key import secret_box
from deploy.recovery.recover import Confirm, PrintLine, recover
from deploy.settings import ProcessSettings
from deploy.supervisor import Process, Supervisor
from producers.disk import DiskSettings
from producers.settings import KafkaSettings

ENGINES = ("broker", "store")
ABORTED = 1


def run(options: UpOptions, *, yes: bool) -> int:
    """Recover and return the exit code; embedded engines run during the recovery."""

    def print_line(line: str) -> None:
        print(line, flush=True)

    def confirm(question: str) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(question))

    try:
        return _run(options, print_line=print_line, confirm=confirm)
    except Exception as error:
        lines = lines_for(error)
        if not lines:
            raise
        for line in lines:
            print(f"tracemill recover: {line}", file=sys.stderr)
        return exit_code_for(error)
    except KeyboardInterrupt:
        return 130


def _run(options: UpOptions, *, print_line: PrintLine, confirm: Confirm) -> int:
    if EMBEDDED not in {options.broker, options.clickhouse}:
        os.environ["TRACEMILL_BROKER"] = options.broker
        os.environ["TRACEMILL_CLICKHOUSE_URL"] = options.clickhouse
        return asyncio.run(_recover(print_line, confirm))
    if read_installation(options.data_dir) is None:
        raise DeployError(f"there is no installation in {options.data_dir}")
    with data_dir_lock(options.data_dir):
        installation = open_installation(options.data_dir, public_port=None, host=options.host)
        credentials = ensure_credentials(options.data_dir)
        broker = embedded_broker(options, installation, credentials)
        all_processes = processes(options, installation, credentials, broker)
        engines = [each for each in all_processes if each.name in ENGINES]
        # These are the variables of `migrate` in `tracemill up`.
        os.environ.update(
            next(each for each in all_processes if each.name == "migrate").environment
        )
        return asyncio.run(_with_engines(engines, options, print_line, confirm))


async def _with_engines(
    engines: Sequence[Process], options: UpOptions, print_line: PrintLine, confirm: Confirm
) -> int:
    guard = DiskGuard(options.data_dir, DiskSettings(), print_line=print_line)
    supervisor = Supervisor(
        engines,
        log_dir=options.data_dir / "logs",
        print_line=print_line,
        start_blocker=guard.shortage,
    )
    ready = asyncio.Event()
    running = asyncio.create_task(supervisor.run(on_ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            raise DeployError("the engines ended before the recovery began")
        return await _recover(print_line, confirm)
    finally:
        waiting.cancel()
        supervisor.request_stop()
        await asyncio.wait({running})


async def _recover(print_line: PrintLine, confirm: Confirm) -> int:
    store = Store(StoreSettings())
    try:
        is_done = await recover(
            KafkaSettings(),
            store,
            secret_box(ProcessSettings()),
            print_line=print_line,
            confirm=confirm,
        )
    finally:
        await store.close()
    if not is_done:
        print_line("nothing was changed: answer yes, or pass --yes")
    return 0 if is_done else ABORTED
