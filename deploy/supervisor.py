"""Start processes concurrently, restart them when they end, and stop them in order.

Each process runs in its own process group, so that Ctrl-C reaches only the supervisor. The kernel
kills all processes if the supervisor ends. A process that ends is restarted with exponential
backoff. The others keep running, because every role waits for its engines. If a process exits at
its first start because of its settings, the supervisor stops all processes and raises. A process is
stopped before those that it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded.launch import bound_to_this_process
from deploy.errors import EX_CONFIG, EngineError, MisconfiguredError
from deploy.liveness import Liveness, until_hung
from deploy.supervisor_logs import ConsoleWarnings, RotatingFile, copy_output, readable

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
HEALTHY_AFTER_S = 30.0
FIRST_STARTS_MAX = 3
PROBE_INTERVAL_S = 0.1
ERROR_LINES_MAX = 20

_ERROR_LINE = re.compile(r"^tracemill(?: \w+)?: ")
"""Beginning of the line with which a process reports the reason of its end."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process to supervise.

    `is_ready` is polled until it is true. If it is None, the process runs once and is ready when it
    has exited with 0. `prepare` is called in a thread before each start. `needs` has the names of
    the processes that it uses, which are stopped after it. `environment` is added to that of the
    supervisor. If the process is not ready within `ready_within_s` after its first start, and
    `fails_if_late` is set, the supervisor stops all processes and raises. A process that `liveness`
    reports as hung is killed and restarted.
    """

    name: str
    command: Sequence[str]
    prepare: Callable[[], None] | None = None
    is_ready: Callable[[], Awaitable[bool]] | None = None
    needs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 120.0
    fails_if_late: bool = True
    liveness: Liveness | None = None
    stop_within_s: float = 10.0

    @property
    def runs_once(self) -> bool:
        return self.is_ready is None


class Supervisor:
    """A supervisor of processes; `print_line` prints lines on the terminal."""

    def __init__(
        self,
        processes: Sequence[Process],
        *,
        log_dir: Path,
        print_line: Callable[[str], None],
        start_blocker: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Create a supervisor; while ``start_blocker`` returns a reason, no process is started."""
        self._supervised = {
            each.name: _SupervisedProcess(each, log_dir, print_line, start_blocker)
            for each in processes
        }
        self._stop_requested = asyncio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """Return the process ids of the running processes, by name."""
        return {name: each.pid for name, each in self._supervised.items() if each.pid is not None}

    def is_running(self, name: str) -> bool:
        """Return whether the process is running."""
        return name in self.pids

    def is_starting(self, name: str) -> bool:
        """Return whether the process is running but not ready yet."""
        return self.is_running(name) and not self._supervised[name].is_up

    def stop_for_now(self, name: str, reason: str, *, at_once: bool) -> None:
        """Stop a process (``at_once``: kill it) until ``start_blocker`` returns None."""
        self._supervised[name].stop_for_now(reason, at_once=at_once)

    def request_stop(self) -> None:
        """Begin a clean stop; at the second call, kill all processes."""
        if self._stop_requested.is_set():
            for each in self._supervised.values():
                each.kill()
        self._stop_requested.set()

    async def run(self, *, on_ready: Callable[[], None]) -> None:
        """Start all processes, call `on_ready` when all are ready, and supervise them until a stop.

        Raises:
            EngineError, MisconfiguredError: a process failed its first start; all are stopped.
        """
        tasks = {asyncio.create_task(each.keep_alive()) for each in self._supervised.values()}
        tasks.add(asyncio.create_task(self._announce(on_ready)))
        stopping = asyncio.create_task(self._stop_requested.wait())
        pending = set(tasks)
        try:
            while pending and not stopping.done():
                done, _ = await asyncio.wait(
                    {*pending, stopping}, return_when=asyncio.FIRST_COMPLETED
                )
                pending -= done
                for task in done:
                    task.result()
        finally:
            for task in (*tasks, stopping):
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
            await self._stop_all()

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        for each in self._supervised.values():
            await each.ready.wait()
        on_ready()

    async def _stop_all(self) -> None:
        """Stop each process after all that need it have stopped."""
        remaining = dict(self._supervised)
        while remaining:
            needed = {name for each in remaining.values() for name in each.process.needs}
            last = [remaining.pop(name) for name in list(remaining) if name not in needed]
            await asyncio.gather(*(each.stop() for each in last))


class _SupervisedProcess:
    """A process and its restarts."""

    def __init__(
        self,
        process: Process,
        log_dir: Path,
        print_line: Callable[[str], None],
        start_blocker: Callable[[], str | None],
    ) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.is_up = False
        """Whether the current run has been ready."""
        self._print_line = print_line
        self._start_blocker = start_blocker
        self._stopped_for = ""
        self._log_path = log_dir / f"{process.name}.log"
        self._log = RotatingFile(self._log_path)
        self._console = ConsoleWarnings(process.name, print_line, log_path=self._log_path)
        self._run: _Run | None = None
        self._last_line = ""
        self._error_lines: list[str] = []

    @property
    def pid(self) -> int | None:
        return self._run.pid if self._run is not None and self._run.is_running else None

    async def keep_alive(self) -> None:
        """Run the process and restart it when it ends; return when a one-off process succeeds.

        Raises:
            EngineError: the process ended FIRST_STARTS_MAX times and was never ready.
            MisconfiguredError: the process was never ready and exited with EX_CONFIG.
        """
        name, backoff_s, failed_starts = self.process.name, BACKOFF_FIRST_S, 0
        while True:
            await self._wait_until_startable()
            started_s = time.monotonic()
            code = await self._run_once(started_s)
            if self._stopped_for:
                self._stopped_for, backoff_s = "", BACKOFF_FIRST_S
                continue
            if self.process.runs_once and code == 0:
                self._print_line(f"{name} is done ({time.monotonic() - started_s:.1f} s)")
                self.ready.set()
                return
            if not self.ready.is_set():
                if code == EX_CONFIG:
                    raise MisconfiguredError(f"{name} cannot start: {self._reason()}")
                failed_starts += self._start_blocker() is None
                if failed_starts == FIRST_STARTS_MAX:
                    raise EngineError(
                        f"{name} does not start: it {self._ending(code)} "
                        f"(its log: {self._log_path})"
                    )
            if time.monotonic() - started_s >= HEALTHY_AFTER_S:
                backoff_s = BACKOFF_FIRST_S
            self._print_line(f"{name} {self._ending(code)}; starting it again in {backoff_s:.1f} s")
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    def stop_for_now(self, reason: str, *, at_once: bool) -> None:
        """Stop the process; the next start waits until ``start_blocker`` returns None."""
        if self._run is None or not self._run.is_running or (self._stopped_for and not at_once):
            return
        if not self._stopped_for:
            self._print_line(f"{self.process.name} is stopped for now: {reason}")
        self._stopped_for = reason
        if at_once:
            self._run.kill()
        else:
            self._run.terminate()

    async def _wait_until_startable(self) -> None:
        is_printed = False
        while (reason := self._start_blocker()) is not None:
            if not is_printed:
                self._print_line(f"{self.process.name} waits: {reason}")
                is_printed = True
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def stop(self) -> None:
        """Send SIGTERM, after a deadline SIGKILL to the whole group; then close the log."""
        if self._run is not None:
            self._run.terminate()
            try:
                await asyncio.wait_for(self._run.wait(), self.process.stop_within_s)
            except TimeoutError:
                self._print_line(f"{self.process.name} did not stop in time; killing it")
                self._run.kill()
                await self._run.wait()
        self._log.close()

    def kill(self) -> None:
        if self._run is not None:
            self._run.kill()

    async def _run_once(self, started_s: float) -> int:
        """Run the process until it ends; return the exit code, negative for a signal."""
        self.is_up = False
        if self.process.prepare is not None:
            try:
                await asyncio.to_thread(self.process.prepare)
            except OSError as error:  # for example a full disk; treated like exit code 1
                self._last_line = str(error)
                return 1
        self._error_lines.clear()
        self._run = await _Run.start(self.process, self._log, self._on_line)
        ended = asyncio.create_task(self._run.wait())
        probing = asyncio.create_task(self._await_ready(started_s))
        watching = asyncio.create_task(self._kill_when_hung(self._run))
        try:
            await asyncio.wait({ended, probing}, return_when=asyncio.FIRST_COMPLETED)
            if probing.done():
                probing.result()
            return await ended
        finally:
            probing.cancel()
            watching.cancel()
            ended.cancel()

    async def _kill_when_hung(self, run: _Run) -> None:
        """Kill the process when it is hung; SIGTERM is not used, as it could not stop cleanly."""
        if self.process.liveness is not None:
            failure = await until_hung(self.process.liveness)
            self._print_line(f"{self.process.name} hangs: {failure}; killing it")
            run.kill()

    async def _await_ready(self, started_s: float) -> None:
        is_ready, name = self.process.is_ready, self.process.name
        if is_ready is None:
            return
        overdue = False
        while not await is_ready():
            await asyncio.sleep(PROBE_INTERVAL_S)
            if not overdue and time.monotonic() - started_s > self.process.ready_within_s:
                overdue = True
                late = f"is not ready after {self.process.ready_within_s:.0f} s"
                if self.process.fails_if_late and not self.ready.is_set():
                    raise EngineError(
                        f"{name} {late}{self._last_line_suffix()} (its log: {self._log_path})"
                    )
                self._print_line(f"{name} {late}; still waiting")
        self.is_up = True
        took_s = time.monotonic() - started_s
        self._print_line(f"{name} is {'back' if self.ready.is_set() else 'ready'} ({took_s:.1f} s)")
        self.ready.set()

    def _on_line(self, line: str) -> None:
        if line.strip():
            self._last_line = line
        if len(self._error_lines) < ERROR_LINES_MAX and (
            self._error_lines or _ERROR_LINE.match(line)
        ):
            self._error_lines.append(_ERROR_LINE.sub("", line))
        self._console.line(line)

    def _ending(self, code: int) -> str:
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}{self._last_line_suffix()}"

    def _reason(self) -> str:
        reason = "\n".join(self._error_lines) or readable(self._last_line)
        return f"{reason} (its log: {self._log_path})"

    def _last_line_suffix(self) -> str:
        return f": {readable(self._last_line)}" if self._last_line else ""


class _Run:
    """One run of a process, with the task that reads its output until the pipe is closed."""

    def __init__(self, running: asyncio.subprocess.Process, draining: asyncio.Task[None]) -> None:
        self._running = running
        self._draining = draining

    @classmethod
    async def start(
        cls, process: Process, log: RotatingFile, on_line: Callable[[str], None]
    ) -> _Run:
        # asyncio's pipe is not used, because its `wait` would also wait for children of the process
        # that have the pipe open.
        read_end, write_end = os.pipe()
        try:
            output = await _reader(read_end)
            running = await asyncio.create_subprocess_exec(
                *bound_to_this_process(list(process.command)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env={**os.environ, **process.environment},
                process_group=0,
            )
        finally:
            os.close(write_end)
        return cls(running, asyncio.create_task(copy_output(output, log, on_line)))

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def is_running(self) -> bool:
        return self._running.returncode is None

    async def wait(self) -> int:
        """Wait until the process has ended, then kill the rest of its group."""
        code = await self._running.wait()
        self.kill()
        await asyncio.shield(self._draining)
        return code

    def terminate(self) -> None:
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._running.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._running.pid, signal.SIGKILL)


async def _reader(read_end: int) -> asyncio.StreamReader:
    """Return a stream that reads a pipe to its end, then closes it."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    return reader
