"""Tries work in a forked child process, to see whether it ends the process that does it.

The child has a copy of the worker's memory, so it does exactly what the worker would do next, and
nothing that it changes outlives it. It writes to nobody: no socket, no log. Its end tells the
worker whether the work can be done: by success, by an exception, by a signal, or by its time or
its memory. The kernel ends it together with its worker.
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
GRACE_S: Final = 2.0
"""After its time the child ends itself with a traceback; this much later it is killed."""
DEFAULTS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGALRM,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
)
"""Signals that end the child at once, whatever handlers libraries of the worker have installed."""
_PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)


class TrialImpossibleError(Exception):
    """No child process could be made: nothing is known about the work."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a child process failed."""

    cause: str
    """``SIGSEGV``, ``exit 1``, ``timeout``, or the name of an exception."""
    trace: str


async def trial(
    work: Callable[[], object],
    *,
    timeout_s: float,
    memory_bytes_max: int,
    passing: tuple[type[Exception], ...] = (),
) -> Death | None:
    """Do ``work`` in a child process; return how that failed, or None.

    The event loop goes on meanwhile. ``passing`` are exceptions that the caller deals with itself.

    Raises:
        TrialImpossibleError: there are no resources for a child process.
    """
    worker = os.getpid()
    reading, writing = os.pipe()
    try:
        with warnings.catch_warnings():
            # Newer Pythons warn of forking with threads: the child only computes, and takes no
            # lock that a thread of ours could hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise TrialImpossibleError(str(error)) from error
    if pid == 0:
        _child(work, writing, worker, timeout_s, memory_bytes_max, passing)
    # Closed before anything else runs: no other child may hold it open.
    os.close(writing)
    status = -1
    try:
        report, in_time = await _read_all(reading, timeout_s + GRACE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222  # it was killed: there is no wait
        os.close(reading)
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
    """What the child wrote until its end, and whether that came in time."""
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
    passing: tuple[type[Exception], ...],
) -> NoReturn:
    """Do the work, report and exit without any of the worker's clean-up."""
    try:
        _detach(worker)
        _limit(memory_bytes_max)
        faulthandler.enable(fd, all_threads=False)
        # A timer's signal needs no thread, which would take signals that are meant for the work.
        faulthandler.register(signal.SIGALRM, fd, all_threads=False, chain=True)
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        with contextlib.suppress(*passing):
            work()
        os.write(fd, PASSED)
    except BaseException as error:  # noqa: BLE001  # whatever it is, the worker is to know
        lines = traceback.format_exc(limit=-8, chain=False).encode()[-TRACE_BYTES_MAX // 2 :]
        with contextlib.suppress(OSError):
            os.write(fd, RAISED + type(error).__name__.encode() + b"\n" + lines)
    finally:
        os._exit(0)


def _detach(worker: int) -> None:
    """Answer no signal of the worker's, and end with it."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    faulthandler.disable()
    for number in DEFAULTS:
        signal.signal(number, signal.SIG_DFL)
    gc.disable()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def _limit(memory_bytes_max: int) -> None:
    """Leave no core dump, take a bounded amount of memory, and be the first to go where it is
    short.
    """
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
