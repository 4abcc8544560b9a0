"""Run `tracemill up`: the engines and all roles on one machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from deploy.embedded.credentials import Credentials, ensure_credentials, password_file
from deploy.embedded.data_dir import (
    DEFAULT_PUBLIC_PORT,
    Installation,
    data_dir_lock,
    is_new,
    open_installation,
    require_public_port,
)
from deploy.embedded.disk_guard import DiskGuard
from deploy.embedded.jars import kafka_cache_dir
from deploy.embedded.kafka import java_executable
from deploy.embedded.log_retention import LogRetention
from deploy.embedded.otlp_port import otlp_grpc_port, require_otlp_grpc_port
from deploy.embedded.roles import (
    EMBEDDED,
    UpOptions,
    embedded_broker,
    processes,
    variables_of_engines,
)
from deploy.embedded.warm_up import warm_up
from deploy.errors import DeployError, EngineError, MisconfiguredError
from deploy.settings_check import invalid_settings, misspelled_variables
from deploy.supervisor import Process, Supervisor
from producers.disk import DiskSettings
from producers.settings import AdminSettings

INTERRUPTED = 128 + signal.SIGINT
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(options: UpOptions, *, startup_message: Callable[[Installation, UpOptions], str]) -> int:
    """Run the engines and roles until a stop signal; return the exit code.

    1. Check the settings of all roles and, if the data directory is new, the public port. 2. Lock
    the data directory. 3. Read or create the configuration. 4. Check external engines. 5. At the
    first start, download the broker. 6. Start the processes. 7. When all are ready, print
    `startup_message`.
    """
    started_s = time.monotonic()
    try:
        _check_settings(options)
        configured_admin_key = AdminSettings().secret_key.get_secret_value()
        if is_new(options.data_dir):  # a start that fails because of its port creates no directory
            require_public_port(options.port or DEFAULT_PUBLIC_PORT, options.host)
            require_otlp_grpc_port(options.host)
        with data_dir_lock(options.data_dir):
            installation = open_installation(
                options.data_dir, public_port=options.port, host=options.host
            )
            options = replace(
                options, otlp_grpc_port=otlp_grpc_port(options.host, print_line=print_line)
            )
            asyncio.run(_check_external_engines(options))
            is_new_admin_key = not password_file(options.data_dir, "admin").exists()
            credentials = ensure_credentials(options.data_dir)
            broker = embedded_broker(options, installation, credentials)
            if broker is not None:
                _warm_up()

            def on_ready() -> None:
                print_line(f"all is ready ({time.monotonic() - started_s:.1f} s)")
                print_line(startup_message(installation, options))
                if is_new_admin_key and not configured_admin_key:
                    print_line(_admin_key_message(options.data_dir, credentials))

            retention = None
            if broker is not None:
                retention = LogRetention(
                    broker.log_dir, broker.client_settings(), DiskSettings(), print_line=print_line
                )
            supervised = processes(options, installation, credentials, broker)
            asyncio.run(_supervise(supervised, options, retention, on_ready=on_ready))
    except DeployError as error:
        _print_lines(str(error).splitlines())
        return error.exit_code
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"tracemill: the disk of {options.data_dir} is full: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the supervisor handles signals, for example in a download
        return INTERRUPTED
    return 0


def _check_settings(options: UpOptions) -> None:
    """Check the settings of all roles; print a line for each misspelled variable.

    Raises:
        MisconfiguredError: variables are invalid; the message has a line for each.
    """
    _print_lines(misspelled_variables(os.environ))
    invalid = invalid_settings(variables_of_engines(options))
    if invalid:
        raise MisconfiguredError("\n".join(invalid))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"tracemill: {line}", file=sys.stderr)


def _admin_key_message(data_dir: Path, credentials: Credentials) -> str:
    """Return the text that shows a generated admin key once."""
    return f"""  The admin key creates projects and keys. It is shown only once, and stored in
  {password_file(data_dir, "admin")}:

    export TRACEMILL_ADMIN_SECRET_KEY={credentials.admin.get_secret_value()}
"""


async def _check_external_engines(options: UpOptions) -> None:
    if options.broker == options.clickhouse == EMBEDDED:
        return
    # Imported only if needed, because importing the engines' clients takes long.
    from deploy.embedded.external_engines import require_broker, require_clickhouse  # noqa: PLC0415

    if options.broker != EMBEDDED:
        await require_broker(options.broker)
    if options.clickhouse != EMBEDDED:
        await require_clickhouse(options.clickhouse)


def _warm_up() -> None:
    java_executable()  # a missing Java runtime is fatal, a missing cache is not
    try:
        warm_up(kafka_cache_dir())
    except EngineError as error:
        print_line(f"{error}; the broker starts more slowly without it")


def print_line(line: str) -> None:
    """Print a line immediately; ignore a closed terminal, so that a clean stop is possible."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


async def _supervise(
    supervised: Sequence[Process],
    options: UpOptions,
    retention: LogRetention | None,
    *,
    on_ready: Callable[[], None],
) -> None:
    guard = DiskGuard(options.data_dir, DiskSettings(), print_line=print_line)
    supervisor = Supervisor(
        supervised, log_dir=_log_dir(options), print_line=print_line, start_blocker=guard.shortage
    )
    watching = [asyncio.create_task(guard.watch(supervisor))]
    if retention is not None:
        watching.append(asyncio.create_task(retention.watch()))
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, supervisor.request_stop)
    try:
        await supervisor.run(on_ready=on_ready)
    finally:
        for task in watching:
            task.cancel()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
    print_line("stopped")


def _log_dir(options: UpOptions) -> Path:
    return options.data_dir / "logs"
