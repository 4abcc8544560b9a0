"""Serve an ASGI application inside a running event loop."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import structlog
import uvicorn

from deploy.errors import PortInUseError
from deploy.forwarded_scheme import with_forwarded_scheme
from deploy.http_protocol import limited_protocol
from deploy.settings import HttpSettings

BACKLOG = 2048
SHUTDOWN_TIMEOUT_S = 5
RESERVED_FILES = 256
"""Open files that a process needs in addition to its connections."""

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """A uvicorn server that does not handle signals and sets an event when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        PortInUseError: another process listens on the port, or the address cannot be used.
    """
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise PortInUseError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def within_open_files(limits: HttpSettings) -> HttpSettings:
    """Raise the limit of open files for all connections; if that fails, lower that of connections.

    A new connection replaces an idle one only after it is accepted, which needs a free file
    descriptor.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections_max + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        connections = max(soft - RESERVED_FILES, 1)
        if connections < limits.connections_max:
            log.warning("fewer connections than connections_max", open_files_max=hard)
            return limits.model_copy(update={"connections_max": connections})
    return limits


@asynccontextmanager
async def serving(
    app: Any, host: str, port: int, limits: HttpSettings | None = None
) -> AsyncIterator[None]:
    """Serve ``app`` while the block runs; then wait ``SHUTDOWN_TIMEOUT_S`` for open requests.

    Raises:
        PortInUseError: another process listens on ``host:port``.
    """
    limits = within_open_files(limits or HttpSettings())
    listener = listen(host, port)
    server = _Server(
        uvicorn.Config(
            with_forwarded_scheme(app),
            proxy_headers=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            timeout_keep_alive=limits.keep_alive_s,
            http=limited_protocol(limits),
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield
    finally:
        server.should_exit = True
        listening.cancel()
        await task
