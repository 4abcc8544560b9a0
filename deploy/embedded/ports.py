"""Loopback ports: which are free, and a clear word when one is not."""

from __future__ import annotations

import errno
import socket

from deploy.errors import PortInUseError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on now. All stay bound until all are chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def require_free(port: int, *, purpose: str, host: str = LOOPBACK) -> None:
    """Raises PortInUseError, naming port and purpose, unless one could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: connections of a former run in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(f"port {port} is in use: {purpose} needs it") from error
            raise PortInUseError(f"cannot listen on {host}:{port}: {error.strerror}") from error
