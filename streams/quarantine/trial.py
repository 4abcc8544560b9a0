"""Run work in a forked child process, to find out whether the work crashes the process.

The child has a copy of the worker's memory, so it does what the worker would do next, and its
changes are lost when it ends. It writes to no socket and no log. The worker observes how the child
ends: success, an exception, a signal, or a limit of time or memory. The kernel ends the child
together with its worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ctypes.util
import faulthandler
import gc
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

PASSED: Final = b"\x06passed"
RAISED: Final = b"\x15"
TRACE_BYTES_MAX: Final = 64 * 1024
TRACEBACK_WAIT_S: Final = 2.0
"""Time after the timeout in which the child may write a traceback, before it is killed."""
RESET_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGALRM,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
)
"""Signals that must end the child immediately, although libraries may have installed handlers."""
_PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)


class TrialImpossibleError(Exception):
    """The child process could not be created, so the work was not tried."""


@dataclass(frozen=True, slots=True)
class Death:
    """The way in which a child process failed."""

    cause: str
    """``SIGSEGV``, ``exit 1``, ``timeout``, or the name of an exception."""
    trace: str


async def trial(
    work: Callable[[], object],
    *,
    timeout_s: float,
    memory_bytes_max: int,
    expected: tuple[type[Exception], ...] = (),
) -> Death | None:
    """Run ``work`` in a child process; return how it failed, or None if it succeeded.

    The event loop keeps running. Exceptions in ``expected`` do not count as failures.

    Raises:
        TrialImpossibleError: resources for a child process are missing.
    """
    worker = os.getpid()
    read_fd, write_fd = os.pipe()
    try:
        with warnings.catch_warnings():
            # Newer versions of Python warn about forking a process with threads. The child only
            # computes; it acquires no lock that another thread could hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError as error:
        os.close(read_fd)
        os.close(write_fd)
        raise TrialImpossibleError(str(error)) from error
    if pid == 0:
        _child(work, write_fd, worker, timeout_s, memory_bytes_max, expected)
    # Close it immediately: another child that inherits it would keep the pipe open.
    os.close(write_fd)
    status = -1
    try:
        report, in_time = await _read_all(read_fd, timeout_s + TRACEBACK_WAIT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222  # killed, so this does not block
        os.close(read_fd)
    return _death(report, status, in_time=in_time)


def _death(report: bytes, status: int, *, in_time: bool) -> Death | None:
    if report.startswith(PASSED):
        return None
    text = report.decode(errors="replace").strip()
    if report.startswith(RAISED):
        cause, _, trace = text[1:].partition("\n")
        return Death(cause, trace)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if not in_time or number == signal.SIGALRM:
        return Death("timeout", text)
    if number is not None:
        with contextlib.suppress(ValueError):
            return Death(signal.Signals(number).name, text)
        return Death(f"signal {number}", text)
    return Death(f"exit {os.WEXITSTATUS(status)}", text)


async def _read_all(fd: int, timeout_s: float) -> tuple[bytes, bool]:
    """Return the child's output, and whether it ended in time."""
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    report = bytearray()

    def readable() -> None:
        with contextlib.suppress(BlockingIOError):
            part = os.read(fd, TRACE_BYTES_MAX)
            if len(report) < TRACE_BYTES_MAX:
                report.extend(part)
            if not part and not ended.done():
                ended.set_result(None)

    loop.add_reader(fd, readable)
    try:
        async with asyncio.timeout(timeout_s):
            await ended
    except TimeoutError:
        return bytes(report), False
    finally:
        loop.remove_reader(fd)
    return bytes(report), True


def _child(
    work: Callable[[], object],
    fd: int,
    worker: int,
    timeout_s: float,
    memory_bytes_max: int,
    expected: tuple[type[Exception], ...],
) -> NoReturn:
    """Run the work, report the outcome and exit without the worker's cleanup."""
    try:
        _detach(worker)
        _limit(memory_bytes_max)
        faulthandler.enable(fd, all_threads=False)
        # A timer is used because a thread could receive signals that are meant for the work.
        faulthandler.register(signal.SIGALRM, fd, all_threads=False, chain=True)
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        with contextlib.suppress(*expected):
            work()
        os.write(fd, PASSED)
    except BaseException as error:  # noqa: BLE001  # every exception is reported
        lines = traceback.format_exc(limit=-8, chain=False).encode()[-TRACE_BYTES_MAX // 2 :]
        with contextlib.suppress(OSError):
            os.write(fd, RAISED + type(error).__name__.encode() + b"\n" + lines)
    finally:
        os._exit(0)


def _detach(worker: int) -> None:
    """Reset signal handlers and output, and end together with the worker."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    faulthandler.disable()
    for number in RESET_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    gc.disable()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def _limit(memory_bytes_max: int) -> None:
    """Disable core dumps, limit memory, and let the kernel kill this process first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + memory_bytes_max
        with contextlib.suppress(ValueError, OSError):
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
