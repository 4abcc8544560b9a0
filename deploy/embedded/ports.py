"""Find, check and reserve free ports."""

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

# The global generator is not used, because tests seed it: processes would choose the same ports.
_RANDOM = random.SystemRandom()


def free_ports(count: int, *, except_for: Collection[int] = ()) -> list[int]:
    """Reserve `count` different free ports for servers that may be restarted.

    The reservation lasts until this process ends. It prevents other installations from choosing a
    port before its server has started.
    """
    first_ephemeral = _first_ephemeral_port()
    chosen: list[int] = []
    while len(chosen) < count:
        port = _RANDOM.randrange(FIRST_INTERNAL_PORT, first_ephemeral)
        if (
            port not in chosen
            and port not in except_for
            and is_free_and_not_ephemeral(port)
            and reserve(port)
        ):
            chosen.append(port)
    return chosen


def reserve(port: int) -> bool:
    """Reserve a port until this process ends; false if another process has reserved it."""
    reservations = _reservations()
    if reservations is None:
        return True
    try:
        # One byte is locked per port. The kernel unlocks it when the process ends.
        fcntl.lockf(reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EAGAIN}
    return True


@cache
def _reservations() -> int | None:
    """Open the user's file of reservations, whose bytes are locked; None if that fails.

    The file remains open, because closing any handle of it would release all locks of this process.
    """
    path = Path(tempfile.gettempdir()) / f"tracemill-ports-{os.getuid()}.lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:  # reservations matter only if two installations start at the same time
        return None


def is_free_and_not_ephemeral(port: int) -> bool:
    """Return whether the loopback port is free and outside the kernel's ephemeral range.

    Otherwise, a client that reconnects to a stopped server could get the server's port as its own
    ephemeral port, which would prevent a restart of the server.
    """
    return port < _first_ephemeral_port() and is_free(port)


def is_free(port: int) -> bool:
    """Return whether a server could listen on the loopback port now."""
    try:
        require_free(port, purpose="")
    except PortInUseError:
        return False
    return True


def require_free(port: int, *, purpose: str = "", host: str = LOOPBACK) -> None:
    """Raise PortInUseError with port and purpose if a server could not listen on the port now."""
    need = f": {purpose} needs it" if purpose else ""
    with socket.socket() as probe:
        # The same option as that of servers, so that connections in TIME_WAIT do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(f"port {port} is in use{need}") from error
            raise PortInUseError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _first_ephemeral_port() -> int:
    try:
        setting = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        first = int(setting.split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_FIRST_EPHEMERAL_PORT
    # If nearly all ports are configured as ephemeral, use the default range.
    return first if first > FIRST_INTERNAL_PORT + 1000 else USUAL_FIRST_EPHEMERAL_PORT
