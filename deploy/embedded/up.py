"""`tracemill up`: everything on one machine, from nothing, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from deploy.embedded.credentials import Credentials, ensure_credentials, password_file
from deploy.embedded.data_dir import (
    DEFAULT_PUBLIC_PORT,
    Installation,
    held,
    is_new,
    open_installation,
    require_public_port,
)
from deploy.embedded.disk_guard import DiskGuard
from deploy.embedded.jars import kafka_cache_dir
from deploy.embedded.kafka import java_executable
from deploy.embedded.log_retention import LogRetention
from deploy.embedded.otlp_port import otlp_grpc_port, require_otlp_grpc_port
from deploy.embedded.roles import EMBEDDED, UpOptions, embedded_broker, processes
from deploy.embedded.warm_up import warm_up
from deploy.errors import DeployError, EngineError
from deploy.supervisor import Process, Supervisor
from producers.disk import DiskSettings
from producers.settings import AdminSettings

INTERRUPTED = 128 + signal.SIGINT
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(options: UpOptions, *, greet: Callable[[Installation, UpOptions], str]) -> int:
    """Run everything until a signal asks to stop; returns the exit code.

    `greet` makes the text that is shown once all is ready. The order of effects: hold the data
    directory (a new one only once its public port is known to be free), read or choose the configuration, fetch the broker (the first time), start.
    """
    began_s = time.monotonic()
    chosen_admin_key = AdminSettings().secret_key.get_secret_value()
    try:
        if is_new(options.data_dir):  # a start that fails on its port leaves nothing behind
            require_public_port(options.port or DEFAULT_PUBLIC_PORT, options.host)
            require_otlp_grpc_port(options.host)
        with held(options.data_dir):
            installation = open_installation(
                options.data_dir, public_port=options.port, host=options.host
            )
            options = replace(options, otlp_grpc_port=otlp_grpc_port(options.host, say=say))
            asyncio.run(_require_given(options))
            makes_admin_key = not password_file(options.data_dir, "admin").exists()
            credentials = ensure_credentials(options.data_dir)
            broker = embedded_broker(options, installation, credentials)
            if broker is not None:
                _warm_up()

            def on_ready() -> None:
                say(f"all is ready ({time.monotonic() - began_s:.1f} s)")
                say(greet(installation, options))
                if makes_admin_key and not chosen_admin_key:
                    say(_about_admin_key(options.data_dir, credentials))

            retention = None
            if broker is not None:
                retention = LogRetention(
                    broker.log_dir, broker.client_settings(), DiskSettings(), say=say
                )
            kept = processes(options, installation, credentials, broker)
            asyncio.run(_supervise(kept, options, retention, on_ready=on_ready))
    except DeployError as error:
        print(f"tracemill: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"tracemill: the disk of {options.data_dir} is full: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the supervisor took the signals over, while downloading
        return INTERRUPTED
    return 0


def _about_admin_key(data_dir: Path, credentials: Credentials) -> str:
    """Return what is shown once about a generated admin key."""
    return f"""  The admin key, which makes projects and keys (shown once; it is in
  {password_file(data_dir, "admin")}):

    export TRACEMILL_ADMIN_SECRET_KEY={credentials.admin.get_secret_value()}
"""


async def _require_given(options: UpOptions) -> None:
    if options.broker == options.clickhouse == EMBEDDED:
        return
    # Clients of the engines take time to import, before anything is started.
    from deploy.embedded.given_engines import require_broker, require_clickhouse  # noqa: PLC0415

    if options.broker != EMBEDDED:
        await require_broker(options.broker)
    if options.clickhouse != EMBEDDED:
        await require_clickhouse(options.clickhouse)


def _warm_up() -> None:
    java_executable()  # the one thing that nothing replaces
    try:
        warm_up(kafka_cache_dir())
    except EngineError as error:
        say(f"{error}; it starts slower")


def say(line: str) -> None:
    """Print at once; a terminal that has gone away is no reason to die before a clean stop."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


async def _supervise(
    kept: Sequence[Process],
    options: UpOptions,
    retention: LogRetention | None,
    *,
    on_ready: Callable[[], None],
) -> None:
    guard = DiskGuard(options.data_dir, DiskSettings(), say=say)
    supervisor = Supervisor(kept, log_dir=_log_dir(options), say=say, lack=guard.lack)
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
    say("stopped")


def _log_dir(options: UpOptions) -> Path:
    return options.data_dir / "logs"
