"""Run the embedded store: the engine on a data directory, served on a port until SIGTERM."""

from __future__ import annotations

import fcntl
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from clickhouse.embedded.access import Users, configured_passwords, new_policy, users_xml
from clickhouse.embedded.background_work import BackgroundWork
from clickhouse.embedded.config import s3_endpoint, write_config, write_users
from clickhouse.embedded.engine import Engine
from clickhouse.embedded.front import StoreFront
from clickhouse.errors import StoreError
from clickhouse.settings import EmbeddedStoreSettings, StoreSettings, TieringSettings
from producers.disk import DiskFloor, DiskSettings

COLD_RESPONSE_MAX_S = 5.0


def run_store(
    data_dir: Path,
    port: int,
    host: str = "127.0.0.1",
    *,
    store: StoreSettings | None = None,
    tiering: TieringSettings | None = None,
    embedded: EmbeddedStoreSettings | None = None,
) -> None:
    """Serve ``data_dir`` until SIGTERM or SIGINT, in the main thread of the process.

    Raises:
        StoreError: the directory or the port is in use, or the address is not allowed. The message
            is one line for the terminal.
    """
    store = store or StoreSettings()
    embedded = embedded or EmbeddedStoreSettings()
    passwords = configured_passwords(store, embedded)
    if not passwords:
        raise StoreError("no user has a password: set TRACEMILL_STORE_QUERY_PASSWORD and others")
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    tiering = tiering or TieringSettings()
    with _only_one(data_dir), _listening(host, port) as listener:
        if tiering.cold_url:
            _require_answering(s3_endpoint(tiering))
        users_file = write_users(data_dir, users_xml(store.clickhouse_database))
        config_file = write_config(data_dir, tiering, users_file)
        try:
            engine = Engine(
                data_dir, config_file, _defaults(embedded), idle_max=embedded.queries_max
            )
        except RuntimeError as error:
            raise StoreError(f"the engine does not start: {str(error).splitlines()[0]}") from None
        users = Users(passwords, new_policy(engine, embedded))
        front = StoreFront(engine, embedded, users)
        server = uvicorn.Server(
            uvicorn.Config(
                front,
                loop="uvloop",
                http="httptools",
                lifespan="off",
                ws="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=embedded.stop_timeout_s,
            )
        )
        # uvicorn raises the signal again after its shutdown. It is ignored until ours is complete.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        disk = DiskFloor(DiskSettings(paths=str(data_dir)))
        background = BackgroundWork(disk, engine.command, cold_is_local=not tiering.cold_url)
        with background.watched(disk.settings.check_interval_s):
            server.run(sockets=[listener])
        front.close()


def _defaults(embedded: EmbeddedStoreSettings) -> dict[str, str]:
    """Return the default settings of sessions, which the settings of requests override."""
    return {"max_memory_usage": str(embedded.memory_max_bytes)}


def _require_answering(endpoint: str) -> None:
    """Check that the cold volume's S3 server responds; the engine itself would retry for minutes.

    Raises:
        StoreError: the server does not respond.
    """
    url = urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=COLD_RESPONSE_MAX_S).close()
    except OSError as error:
        raise StoreError(
            f"the cold volume's S3 server {endpoint} does not respond: {error}"
        ) from None


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    with (data_dir / "store.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another embedded store is running on {data_dir}") from None
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise StoreError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        yield listener
