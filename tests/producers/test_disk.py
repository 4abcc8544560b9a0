"""Nothing new is accepted while a disk has too little space, and accepting does not flap."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from producers import metrics
from producers.disk import MIB, DiskFloor, DiskSettings, Space, levels_of, measured
from producers.errors import DiskFullError

SIZE = 10_000 * MIB


@dataclass
class Disk:
    """A disk whose free space the test sets, and a clock that ticks with every look."""

    free_mib: int
    free_inodes: int | None = None
    at_s: float = 0.0
    looks: int = field(default=0)

    def floor(self, **settings: float) -> DiskFloor:
        return DiskFloor(DiskSettings(paths="/engine", **settings), self.measure, self.now_s)

    def measure(self, _: Path) -> Space:
        self.looks += 1
        return Space(self.free_mib * MIB, SIZE, self.free_inodes)

    def now_s(self) -> float:
        return self.at_s


def test_the_floor_is_the_larger_of_bytes_and_share() -> None:
    settings = DiskSettings(free_min_bytes=256 * MIB, free_min_share=0.02)
    assert levels_of(settings, 4_000 * MIB).floor == 256 * MIB
    assert levels_of(settings, 100_000 * MIB).floor == 2_000 * MIB


def test_bytes_never_take_more_than_a_quarter_of_a_small_disk() -> None:
    assert levels_of(DiskSettings(free_min_bytes=256 * MIB), 400 * MIB).floor == 100 * MIB


@pytest.mark.parametrize("size_mib", [64, 512, 1_500, 250_000])
def test_the_levels_are_in_order(size_mib: int) -> None:
    levels = levels_of(DiskSettings(), size_mib * MIB)
    assert 0 < levels.stop < levels.start < levels.floor < levels.resume < size_mib * MIB


def test_below_the_floor_everything_is_refused_until_the_resume_level() -> None:
    disk = Disk(free_mib=300)
    floor = disk.floor(free_min_share=0)
    verdicts = []
    for free_mib in (300, 255, 257, 319, 320):
        disk.free_mib, disk.at_s = free_mib, disk.at_s + 1
        verdicts.append(floor.reason() is None)
    assert verdicts == [True, False, False, False, True]


def test_the_refusal_names_the_disk_and_is_counted() -> None:
    counted = metrics.LIMIT_REACHED.labels("free_min_bytes")._value.get()
    floor = Disk(free_mib=100).floor(free_min_share=0)
    with pytest.raises(DiskFullError, match="disk of /engine has 100 MiB free"):
        floor.refuse_when_low()
    assert metrics.LIMIT_REACHED.labels("free_min_bytes")._value.get() == counted + 1
    assert metrics.DISK_LOW.labels("/engine")._value.get() == 1


def test_a_disk_without_files_left_is_full() -> None:
    reason = Disk(free_mib=5_000, free_inodes=10).floor().reason()
    assert reason is not None
    assert "10 more files" in reason


def test_many_requests_at_once_look_once() -> None:
    disk = Disk(free_mib=5_000)
    floor = disk.floor(check_interval_s=0.1)
    for _ in range(100):
        floor.refuse_when_low()
    disk.at_s = 0.2
    floor.refuse_when_low()
    assert disk.looks == 2


def test_a_directory_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert measured(tmp_path / "not" / "yet").size == measured(tmp_path).size


def test_without_paths_no_disk_is_looked_at() -> None:
    assert DiskFloor(DiskSettings(paths=""), Disk(free_mib=0).measure).reason() is None
