"""Trials report how work ends its process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.quarantine.settings import QuarantineSettings
from streams.quarantine.suspicion import Record, Trials
from streams.quarantine.trial import Death, trial

MIB = 1024 * 1024


async def tried(work: Callable[[], object], timeout_s: float = 30.0) -> Death | None:
    return await trial(
        work, timeout_s=timeout_s, memory_bytes_max=256 * MIB, expected=(ZeroDivisionError,)
    )


async def test_work_that_succeeds_passes_and_leaves_nothing_behind() -> None:
    done: list[int] = []
    assert await tried(lambda: done.append(1)) is None
    assert done == []


async def test_an_expected_exception_is_no_failure() -> None:
    assert await tried(lambda: 1 // 0) is None


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT", "SIGTERM", "SIGINT"])
async def test_a_signal_is_named(name: str) -> None:
    death = await tried(lambda: os.kill(os.getpid(), getattr(signal, name)))
    assert death is not None
    assert death.cause == name, death.trace


@pytest.mark.parametrize("code", [0, 1, 78])
async def test_an_exit_is_a_failure_with_any_code(code: int) -> None:
    death = await tried(lambda: os._exit(code))
    assert death is not None
    assert death.cause == f"exit {code}"


async def test_the_traceback_of_a_crash_is_reported() -> None:
    def crash_here() -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    death = await tried(crash_here)
    assert death is not None
    assert "crash_here" in death.trace


async def test_an_exception_is_described_with_its_location() -> None:
    death = await tried(lambda: sys.argv[10**6])
    assert death is not None
    assert death.cause == "IndexError"
    assert "list index out of range" in death.trace


async def test_work_that_does_not_end_is_killed() -> None:
    def endless() -> None:
        while True:
            pass

    begun = time.monotonic()
    death = await tried(endless, timeout_s=0.3)
    assert death is not None
    assert death.cause == "timeout"
    assert "endless" in death.trace
    assert time.monotonic() - begun < 20


async def test_memory_of_a_child_process_is_limited() -> None:
    death = await tried(lambda: bytearray(1024 * MIB))
    assert death is not None
    assert death.cause == "MemoryError"


async def test_no_process_is_left() -> None:
    before = children()
    await tried(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert children() == before


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


async def test_every_child_process_counts_as_progress_of_its_stage() -> None:
    trials = Trials(QuarantineSettings(trial_deaths=3))
    records = [Record(7, 0, b"{}")]
    assert await trials.find(records, lambda _: None) is None
    assert trials.begun == 1
    assert await trials.find(records, lambda given: os._exit(1) if given[0].value else None)
    assert trials.begun > 1 + 3
