"""Starts processes side by side, keeps them alive, stops each before those that it needs.

Each process runs in a process group of its own (Ctrl-C reaches only the supervisor, which decides the
order) and is bound to the supervisor's life by the kernel. One that dies is started again after a
pause that doubles; its neighbours are left alone: every role is written to wait for its engines.
One that says at its start that its settings are wrong is not tried again: the run ends.
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
from deploy.supervisor_logs import ConsoleWarnings, RotatingFile, pump, readable

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
HEALTHY_AFTER_S = 30.0
FIRST_STARTS_MAX = 3
PROBE_INTERVAL_S = 0.1
VERDICT_LINES_MAX = 20

_VERDICT = re.compile(r"^tracemill(?: \w+)?: ")
"""How a process begins the line that tells its reader why it ends."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process to keep.

    `is_ready` is polled until it is true; without it the process is ready when it has ended with 0
    (a task that runs once). `prepare` is called before each start, in a thread. `needs` names the
    processes it works with: it is started beside them, waits for them by itself, and is stopped
    before them. `environment` is added to the supervisor's own. If it is not ready after
    `ready_within_s` the first time, the run ends, unless it may catch up on much work first. One
    that `liveness` finds hung is killed and restarted.
    """

    name: str
    command: Sequence[str]
    prepare: Callable[[], None] | None = None
    is_ready: Callable[[], Awaitable[bool]] | None = None
    needs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 120.0
    ends_run_if_late: bool = True
    liveness: Liveness | None = None
    stop_within_s: float = 10.0

    @property
    def runs_once(self) -> bool:
        return self.is_ready is None


class Supervisor:
    """Keeps a set of processes; `say` receives the lines meant for the person at the terminal."""

    def __init__(
        self,
        processes: Sequence[Process],
        *,
        log_dir: Path,
        say: Callable[[str], None],
        lack: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Create it; while ``lack`` returns a reason, starts are postponed."""
        self._kept = {each.name: _Kept(each, log_dir, say, lack) for each in processes}
        self._stop_requested = asyncio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of those that run now, by name."""
        return {name: kept.pid for name, kept in self._kept.items() if kept.pid is not None}

    def is_running(self, name: str) -> bool:
        """Return whether the process runs."""
        return name in self.pids

    def is_starting(self, name: str) -> bool:
        """Return whether the process runs and has not been ready since its start."""
        return self.is_running(name) and not self._kept[name].is_up

    def stop_for_now(self, name: str, reason: str, *, at_once: bool) -> None:
        """Stop a process (``at_once``: kill it) until ``lack`` returns None."""
        self._kept[name].stop_for_now(reason, at_once=at_once)

    def request_stop(self) -> None:
        """Begin a clean stop; asked a second time, kill at once."""
        if self._stop_requested.is_set():
            for kept in self._kept.values():
                kept.kill()
        self._stop_requested.set()

    async def run(self, *, on_ready: Callable[[], None]) -> None:
        """Start all, call `on_ready` once all are, keep them until a stop is requested, stop them.

        Raises EngineError or MisconfiguredError, after stopping what runs, when one does not come up the first time.
        """
        tasks = {asyncio.create_task(kept.keep_alive()) for kept in self._kept.values()}
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
        for kept in self._kept.values():
            await kept.ready.wait()
        on_ready()

    async def _stop_all(self) -> None:
        """In reverse order: a process stops when all that depend on it have stopped."""
        remaining = dict(self._kept)
        while remaining:
            needed = {name for kept in remaining.values() for name in kept.process.needs}
            last = [remaining.pop(name) for name in list(remaining) if name not in needed]
            await asyncio.gather(*(kept.stop() for kept in last))


class _Kept:
    """One process through its lives."""

    def __init__(
        self,
        process: Process,
        log_dir: Path,
        say: Callable[[str], None],
        lack: Callable[[], str | None],
    ) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.is_up = False
        """Whether it has been ready since its start."""
        self._say = say
        self._lack = lack
        self._stopped_for = ""
        self._log_path = log_dir / f"{process.name}.log"
        self._log = RotatingFile(self._log_path)
        self._console = ConsoleWarnings(process.name, say, log_path=self._log_path)
        self._life: _Life | None = None
        self._last_line = ""
        self._verdict: list[str] = []

    @property
    def pid(self) -> int | None:
        return self._life.pid if self._life is not None and self._life.runs else None

    async def keep_alive(self) -> None:
        """Run the process again and again; a task that runs once, until it has succeeded.

        Raises EngineError when it ends FIRST_STARTS_MAX times without ever having been ready, and
        MisconfiguredError when it says the first time that it will not get better.
        """
        name, backoff_s, failed_starts = self.process.name, BACKOFF_FIRST_S, 0
        while True:
            await self._until_nothing_lacks()
            started_s = time.monotonic()
            code = await self._live(started_s)
            if self._stopped_for:
                self._stopped_for, backoff_s = "", BACKOFF_FIRST_S
                continue
            if self.process.runs_once and code == 0:
                self._say(f"{name} is done ({time.monotonic() - started_s:.1f} s)")
                self.ready.set()
                return
            if not self.ready.is_set():
                if code == EX_CONFIG:
                    raise MisconfiguredError(f"{name} cannot start: {self._reason()}")
                failed_starts += self._lack() is None
                if failed_starts == FIRST_STARTS_MAX:
                    raise EngineError(
                        f"{name} does not start: it {self._ending(code)} (its log: {self._log_path})"
                    )
            if time.monotonic() - started_s >= HEALTHY_AFTER_S:
                backoff_s = BACKOFF_FIRST_S
            self._say(f"{name} {self._ending(code)}; starting it again in {backoff_s:.1f} s")
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    def stop_for_now(self, reason: str, *, at_once: bool) -> None:
        """Stop the process; the next start waits until ``lack`` returns None."""
        if self._life is None or not self._life.runs or (self._stopped_for and not at_once):
            return
        if not self._stopped_for:
            self._say(f"{self.process.name} is stopped for now: {reason}")
        self._stopped_for = reason
        if at_once:
            self._life.kill()
        else:
            self._life.terminate()

    async def _until_nothing_lacks(self) -> None:
        said = False
        while (lack := self._lack()) is not None:
            if not said:
                self._say(f"{self.process.name} waits: {lack}")
                said = True
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def stop(self) -> None:
        """SIGTERM, a deadline, SIGKILL for the whole group; then close the log."""
        if self._life is not None:
            self._life.terminate()
            try:
                await asyncio.wait_for(self._life.wait(), self.process.stop_within_s)
            except TimeoutError:
                self._say(f"{self.process.name} did not stop in time; killing it")
                self._life.kill()
                await self._life.wait()
        self._log.close()

    def kill(self) -> None:
        if self._life is not None:
            self._life.kill()

    async def _live(self, started_s: float) -> int:
        """One life, from start to end; returns the exit code, negative for a signal."""
        self.is_up = False
        if self.process.prepare is not None:
            try:
                await asyncio.to_thread(self.process.prepare)
            except OSError as error:  # a full disk: an end like any other
                self._last_line = str(error)
                return 1
        self._verdict.clear()
        self._life = await _Life.start(self.process, self._log, self._on_line)
        ended = asyncio.create_task(self._life.wait())
        probing = asyncio.create_task(self._await_ready(started_s))
        watching = asyncio.create_task(self._kill_when_hung(self._life))
        try:
            await asyncio.wait({ended, probing}, return_when=asyncio.FIRST_COMPLETED)
            if probing.done():
                probing.result()
            return await ended
        finally:
            probing.cancel()
            watching.cancel()
            ended.cancel()

    async def _kill_when_hung(self, life: _Life) -> None:
        """Kill without SIGTERM: a hung process cannot stop cleanly, and must not look as if it had."""
        if self.process.liveness is not None:
            wrong = await until_hung(self.process.liveness)
            self._say(f"{self.process.name} hangs: {wrong}; killing it")
            life.kill()

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
                if self.process.ends_run_if_late and not self.ready.is_set():
                    raise EngineError(
                        f"{name} {late}{self._last_words()} (its log: {self._log_path})"
                    )
                self._say(f"{name} {late}; waiting on")
        self.is_up = True
        took_s = time.monotonic() - started_s
        self._say(f"{name} is {'back' if self.ready.is_set() else 'ready'} ({took_s:.1f} s)")
        self.ready.set()

    def _on_line(self, line: str) -> None:
        if line.strip():
            self._last_line = line
        if len(self._verdict) < VERDICT_LINES_MAX and (self._verdict or _VERDICT.match(line)):
            self._verdict.append(_VERDICT.sub("", line))
        self._console.line(line)

    def _ending(self, code: int) -> str:
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}{self._last_words()}"

    def _reason(self) -> str:
        said = "\n".join(self._verdict) or readable(self._last_line)
        return f"{said} (its log: {self._log_path})"

    def _last_words(self) -> str:
        return f": {readable(self._last_line)}" if self._last_line else ""


class _Life:
    """One run of a process, with the task that drains its output until nobody can write any more."""

    def __init__(self, running: asyncio.subprocess.Process, draining: asyncio.Task[None]) -> None:
        self._running = running
        self._draining = draining

    @classmethod
    async def start(
        cls, process: Process, log: RotatingFile, on_line: Callable[[str], None]
    ) -> _Life:
        # A pipe of our own: asyncio's `wait` would wait for everybody who holds its pipe, and a
        # process that died may have left children which do.
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
        return cls(running, asyncio.create_task(pump(output, log, on_line)))

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def runs(self) -> bool:
        return self._running.returncode is None

    async def wait(self) -> int:
        """Until the process has ended; what it left behind in its group is killed with it."""
        code = await self._running.wait()
        self.kill()
        await asyncio.shield(self._draining)
        return code

    def terminate(self) -> None:
        if self.runs:
            with contextlib.suppress(ProcessLookupError):
                self._running.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._running.pid, signal.SIGKILL)


async def _reader(read_end: int) -> asyncio.StreamReader:
    """A stream over the read end of a pipe, which it closes at its end."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    return reader
