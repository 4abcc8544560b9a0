"""The broker is stopped before the disk is full, and nothing is started into a full disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.embedded.disk_guard import USE_RESERVE_AFTER_S, DiskGuard
from producers.disk import MIB, DiskSettings, Space

SETTINGS = DiskSettings(
    free_min_bytes=200 * MIB, free_min_share=0, stop_factor=0.5, reserve_bytes=1 * MIB
)
"""Stop at 100 MiB, start at 150, accept at 250."""


@dataclass
class Machine:
    """A disk and a broker that the test controls."""

    data_dir: Path
    free_mib: int = 1_000
    at_s: float = 0.0
    running: bool = True
    starting: bool = False
    stops: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def guard(self) -> DiskGuard:
        return DiskGuard(
            self.data_dir,
            SETTINGS,
            print_line=self.lines.append,
            measure=lambda _: Space(self.free_mib * MIB, 10_000 * MIB, None),
            now_s=lambda: self.at_s,
        )

    def is_running(self, _: str) -> bool:
        return self.running

    def is_starting(self, _: str) -> bool:
        return self.running and self.starting

    def stop_for_now(self, name: str, reason: str, *, at_once: bool) -> None:
        assert reason
        self.stops.append(f"{name} {'killed' if at_once else 'stopped'}")
        self.running = False


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_between_the_floor_and_the_stop_level_the_broker_runs(machine: Machine) -> None:
    guard = machine.guard()
    machine.free_mib = 101
    guard.check(machine)
    assert machine.stops == []
    assert guard.shortage() is None


def test_a_running_broker_is_stopped_cleanly_before_the_disk_is_full(machine: Machine) -> None:
    guard = machine.guard()
    machine.free_mib = 99
    guard.check(machine)
    assert machine.stops == ["broker stopped"]
    assert guard.shortage() is not None


def test_a_broker_that_recovers_its_log_is_killed_and_the_reserve_deleted(
    machine: Machine,
) -> None:
    guard = machine.guard()
    guard.check(machine)
    assert (machine.data_dir / "reserve").stat().st_size == MIB
    machine.starting, machine.free_mib = True, 0
    guard.check(machine)
    assert machine.stops == ["broker killed"]
    assert not (machine.data_dir / "reserve").exists()


def test_nothing_starts_until_there_is_space_to_recover(machine: Machine) -> None:
    machine.free_mib = 149
    guard = machine.guard()
    assert guard.shortage() == (
        f"the disk of {machine.data_dir} has 149 MiB free; starting needs 150 MiB"
    )
    machine.free_mib = 150
    guard.check(machine)
    assert guard.shortage() is None


@pytest.mark.parametrize("is_clean", [True, False])
def test_the_reserve_starts_only_a_broker_that_has_nothing_to_recover(
    machine: Machine, *, is_clean: bool
) -> None:
    guard = machine.guard()
    guard.check(machine)
    log = machine.data_dir / "kafka" / "log"
    log.mkdir(parents=True)
    if is_clean:
        (log / ".kafka_cleanshutdown").touch()
    machine.running, machine.free_mib = False, 40
    guard.check(machine)
    assert guard.shortage() is not None
    machine.at_s += USE_RESERVE_AFTER_S
    guard.check(machine)
    assert (guard.shortage() is None) == is_clean
    assert (machine.data_dir / "reserve").exists() != is_clean


def test_the_reserve_is_created_again_when_there_is_space(machine: Machine) -> None:
    guard = machine.guard()
    machine.free_mib = 250
    guard.check(machine)
    assert not (machine.data_dir / "reserve").exists()
    machine.free_mib = 252
    guard.check(machine)
    assert (machine.data_dir / "reserve").exists()
