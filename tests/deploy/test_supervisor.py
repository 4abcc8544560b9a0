"""The supervisor: order, restarts, clean stops, and nobody left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.errors import EX_CONFIG, EngineError, MisconfiguredError
from deploy.supervisor import Process, Supervisor

WITHIN_S = 20.0

# Appends "NAME up" to a diary, waits for SIGTERM, appends "NAME down".
ROLE = """
import os, signal, sys
diary, name = sys.argv[1:3]
def note(word):
    with open(diary, "a") as file:
        file.write(f"{name} {word}\\n")
def stop(*_):
    note("down")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
note("up")
while True:
    signal.pause()
"""


class Stage:
    """A directory with a diary that fake roles write, and the lines the supervisor says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.diary = path / "diary"
        self.lines: list[str] = []

    def entries(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def role(self, name: str, *, needs: tuple[str, ...] = ()) -> Process:
        async def is_ready() -> bool:
            return f"{name} up" in self.entries()

        command = [sys.executable, "-c", ROLE, str(self.diary), name]
        return Process(name, command, is_ready=is_ready, needs=needs)

    @asynccontextmanager
    async def running(self, *processes: Process) -> AsyncIterator[Supervisor]:
        supervisor = self.supervisor(*processes)
        ready = asyncio.Event()
        run = asyncio.create_task(supervisor.run(on_ready=ready.set))
        try:
            async with asyncio.timeout(WITHIN_S):
                await ready.wait()
            yield supervisor
        finally:
            supervisor.request_stop()
            async with asyncio.timeout(WITHIN_S):
                await run

    def supervisor(self, *processes: Process) -> Supervisor:
        return Supervisor(processes, log_dir=self.path / "logs", print_line=self.lines.append)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def script(name: str, code: str, **options: object) -> Process:
    return Process(name, [sys.executable, "-c", code], **options)  # type: ignore[arg-type]


async def yes() -> bool:
    return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110  (of other processes)
            await asyncio.sleep(0.01)


async def test_processes_start_concurrently_and_stop_before_those_they_need(stage: Stage) -> None:
    async with stage.running(
        stage.role("edge", needs=("broker",)),
        Process("task", ["/bin/sh", "-c", f"echo task done >> {stage.diary}"], needs=("broker",)),
        stage.role("broker"),
    ):
        assert sorted(stage.entries()) == ["broker up", "edge up", "task done"]
    assert stage.entries()[3:] == ["edge down", "broker down"]


async def test_a_killed_process_is_restarted_and_the_others_keep_running(stage: Stage) -> None:
    async with stage.running(stage.role("broker"), stage.role("sink", needs=("broker",))) as kept:
        before = kept.pids
        os.kill(before["broker"], signal.SIGKILL)
        await until(lambda: stage.entries().count("broker up") == 2)
        await until(lambda: any(line.startswith("broker is back") for line in stage.lines))
        assert kept.pids["sink"] == before["sink"]
        assert kept.pids["broker"] != before["broker"]
    assert "broker was killed by SIGKILL; starting it again in 0.2 s" in stage.lines


async def test_the_pause_before_a_restart_doubles(stage: Stage) -> None:
    dying = script("sink", "import time; time.sleep(0.01)", is_ready=yes)
    async with stage.running(dying):
        await until(lambda: sum("starting it again" in line for line in stage.lines) == 3)
    pauses = [line.split(" in ")[1] for line in stage.lines if "starting it again" in line]
    assert pauses[:3] == ["0.2 s", "0.4 s", "0.8 s"]


async def test_a_process_that_never_starts_ends_the_run_with_its_last_line(
    stage: Stage,
) -> None:
    never: Callable[[], Awaitable[bool]] = lambda: asyncio.sleep(0, result=False)  # noqa: E731
    failing = script("store", "raise SystemExit('no space left')", is_ready=never)
    neighbour = stage.role("broker")
    with pytest.raises(EngineError, match=r"store does not start: .*exit code 1: no space left"):
        await stage.supervisor(failing, neighbour).run(on_ready=lambda: None)
    # The neighbour was stopped while it started, so its first or last line may be missing.
    possible = (["broker up", "broker down"], ["broker down"], [])
    await until(lambda: stage.entries() in possible)


async def test_a_task_with_invalid_settings_ends_the_run_at_once_with_its_error(
    stage: Stage,
) -> None:
    words = "tracemill migrate: there is no policy:\n<policy>\ntracemill migrate: no topic"
    code = f"print('starting'); print({words!r}, flush=True); raise SystemExit({EX_CONFIG})"
    log = stage.path / "logs" / "migrate.log"
    with pytest.raises(MisconfiguredError) as raised:
        await stage.supervisor(script("migrate", code), stage.role("broker")).run(
            on_ready=lambda: None
        )
    assert str(raised.value) == (
        f"migrate cannot start: there is no policy:\n<policy>\nno topic (its log: {log})"
    )
    assert log.read_text().count("starting") == 1
    assert not any("starting it again" in line for line in stage.lines)


async def test_a_process_that_was_ready_once_is_restarted_after_a_configuration_error(
    stage: Stage,
) -> None:
    ending = script(
        "sink", f"import time; time.sleep(0.3); raise SystemExit({EX_CONFIG})", is_ready=yes
    )
    async with stage.running(ending):
        await until(lambda: any("starting it again" in line for line in stage.lines))


async def test_a_process_that_is_never_ready_ends_the_run(stage: Stage) -> None:
    never: Callable[[], Awaitable[bool]] = lambda: asyncio.sleep(0, result=False)  # noqa: E731
    slow = script("store", "import time; time.sleep(60)", is_ready=never, ready_within_s=0.3)
    with pytest.raises(EngineError, match="store is not ready after 0 s"):
        await stage.supervisor(slow).run(on_ready=lambda: None)


async def test_a_process_that_ignores_sigterm_is_killed_after_its_deadline(stage: Stage) -> None:
    unresponsive = script(
        "sink",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True); time.sleep(60)",
        is_ready=yes,
        stop_within_s=0.2,
    )
    async with stage.running(unresponsive):
        await until(lambda: "deaf" in (stage.path / "logs" / "sink.log").read_text())
    assert "sink did not stop in time; killing it" in stage.lines


async def test_a_second_request_to_stop_kills_at_once(stage: Stage) -> None:
    unresponsive = script(
        "sink",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True); time.sleep(60)",
        is_ready=yes,
        stop_within_s=60.0,
    )
    async with stage.running(unresponsive) as kept:
        await until(lambda: "deaf" in (stage.path / "logs" / "sink.log").read_text())
        kept.request_stop()


async def test_a_process_s_children_end_with_it(stage: Stage) -> None:
    parent = script(
        "streams",
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print(f'child={child.pid}', flush=True); time.sleep(60)",
        is_ready=yes,
    )
    log = stage.path / "logs" / "streams.log"
    async with stage.running(parent) as kept:
        await until(lambda: log.exists() and "child=" in log.read_text())
        child = int(log.read_text().strip().removeprefix("child="))
        os.kill(kept.pids["streams"], signal.SIGKILL)
        await until(lambda: not is_alive(child))


def test_all_processes_end_with_a_killed_supervisor(stage: Stage) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from deploy.supervisor import Process, Supervisor
async def yes():
    return True
supervisor = Supervisor(
    [Process("broker", ["sleep", "60"], is_ready=yes)],
    log_dir=Path({str(stage.path)!r}),
    print_line=print,
)
asyncio.run(supervisor.run(on_ready=lambda: print("pid", supervisor.pids["broker"], flush=True)))
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    with supervisor.stdout:
        pid = next(int(line.split()[1]) for line in supervisor.stdout if line.startswith("pid"))
        assert is_alive(pid)
        supervisor.kill()
        supervisor.wait()
    deadline = time.monotonic() + WITHIN_S
    while is_alive(pid):
        assert time.monotonic() < deadline, "the child is still alive"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
