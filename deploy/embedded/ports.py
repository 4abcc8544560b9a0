"""Loopback ports: which are free, and a clear word when one is not."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Collection
from functools import cache
from pathlib import Path

from deploy.errors import PortInUseError

LOOPBACK = "127.0.0.1"
FIRST_INTERNAL_PORT = 20_000
USUAL_FIRST_EPHEMERAL_PORT = 32_768

_RANDOM = random.SystemRandom()  # of its own: tests seed the common one, and would choose alike


def free_ports(count: int, *, except_for: Collection[int] = ()) -> list[int]:
    """Reserve `count` different ports nobody listens on now, for servers that may die and come
    back.

    They stay this process's until it ends: no other process is given one of them meanwhile, which
    would find it free between the choice of a port and the start of the server that listens there.
    """
    first_ephemeral = _first_ephemeral_port()
    chosen: list[int] = []
    while len(chosen) < count:
        port = _RANDOM.randrange(FIRST_INTERNAL_PORT, first_ephemeral)
        if port not in chosen and port not in except_for and is_lasting(port) and reserve(port):
            chosen.append(port)
    return chosen


def reserve(port: int) -> bool:
    """Keep the port from the choices of other processes until this one ends; False if one has it."""
    reservations = _reservations()
    if reservations is None:
        return True
    try:
        # One byte a port: the kernel gives it back with the process, however that ends.
        fcntl.lockf(reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EAGAIN}
    return True


@cache
def _reservations() -> int | None:
    """The file whose bytes are locked, common to a user's processes; None where none can be had.

    It stays open: closing any handle of it would give back all that this process has reserved.
    """
    path = Path(tempfile.gettempdir()) / f"tracemill-ports-{os.getuid()}.lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:  # only two starts at the same moment need it
        return None


def is_lasting(port: int) -> bool:
    """Whether the loopback port is free now and a server that died would find it free again.

    That is below the range the kernel takes the client ends of connections from: a client that
    reconnects to a dead server could otherwise be given the very port and keep it from returning.
    """
    return port < _first_ephemeral_port() and is_free(port)


def is_free(port: int) -> bool:
    """Whether one could listen on the loopback port now."""
    try:
        require_free(port, purpose="")
    except PortInUseError:
        return False
    return True


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


def _first_ephemeral_port() -> int:
    try:
        setting = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        first = int(setting.split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_FIRST_EPHEMERAL_PORT
    # Where an administrator left the clients nearly everything, there is no better range to offer.
    return first if first > FIRST_INTERNAL_PORT + 1000 else USUAL_FIRST_EPHEMERAL_PORT
