"""Watch free disk space, and refuse new data below a floor so that accepted data can be kept.

Kafka and ClickHouse survive a failed write, but a broker that recovers its log on a full disk
truncates the log. Each watched file system therefore has these levels of free space:

    resume      above it, new data is accepted again
    floor       below it, the gateway and the control API return 503, and merges pause
    start       above it, a stopped embedded broker is started again
    stop        below it, the embedded broker is stopped (``deploy.embedded.disk_guard``)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from producers import metrics
from producers.errors import DiskFullError

MIB: Final = 1024 * 1024
LARGEST_SHARE: Final = 0.25
"""On small file systems, ``free_min_bytes`` is limited to this share."""


class DiskSettings(BaseSettings):
    """Free space that is kept on the disks of the embedded engines and of ``paths``."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_DISK_", frozen=True)

    paths: str = ""
    """Directories whose file systems are watched, separated by colons. `tracemill up` adds the
    directories of its embedded engines."""
    free_min_bytes: int = Field(256 * MIB, ge=0)
    """Free space in bytes; below it, new data is refused (503). On a file system of less than four
    times this size, a quarter of the file system."""
    free_min_share: float = Field(0.02, ge=0, lt=1)
    """The same as a share of the file system. The larger of both applies."""
    free_min_inodes: int = Field(1_000, ge=0)
    """Free inodes; below it, new data is refused (503). Only on file systems that limit inodes."""
    resume_factor: float = Field(1.25, ge=1)
    """New data is accepted again when the free space is the minimum times this factor."""
    stop_factor: float = Field(0.5, ge=0, le=1)
    """The embedded broker is stopped when the free space is below the minimum times this factor. It
    is restarted half-way between that and the minimum."""
    check_interval_s: float = Field(0.1, gt=0, le=1)
    """Interval at which free space is measured. It must be too short for ``stop_factor`` times the
    minimum to be written."""
    log_max_share: float = Field(0.25, gt=0, lt=1)
    """Maximum size of the embedded broker's log, as a share of its file system. Above it, or when
    free space is nearly at the minimum, records that are already stored are deleted."""
    reserve_bytes: int = Field(64 * MIB, ge=0)
    """Size of a reserve file in the data directory, which is deleted only to recover an engine on a
    full disk. At most a sixteenth of the file system."""


@dataclass(frozen=True, slots=True)
class Space:
    """Size and free space of a file system, in bytes and files."""

    free: int
    size: int
    free_inodes: int | None
    """None if the file system does not limit inodes."""


Measure = Callable[[Path], Space]


def measured(path: Path) -> Space:
    """Measure the free space for ordinary users at ``path`` or its nearest existing parent.

    Raises:
        OSError: the file system cannot be read.
    """
    while not path.exists() and path != path.parent:
        path = path.parent
    found = os.statvfs(path)
    return Space(
        free=found.f_bavail * found.f_frsize,
        size=found.f_blocks * found.f_frsize,
        free_inodes=found.f_favail if found.f_files else None,
    )


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of one file system, as free bytes."""

    resume: int
    floor: int
    start: int
    stop: int


def levels_of(settings: DiskSettings, size: int) -> Levels:
    """Return the levels of a file system of ``size`` bytes."""
    by_bytes = min(settings.free_min_bytes, int(size * LARGEST_SHARE))
    floor = max(by_bytes, int(size * settings.free_min_share))
    stop = int(floor * settings.stop_factor)
    return Levels(int(floor * settings.resume_factor), floor, (floor + stop) // 2, stop)


@dataclass(slots=True)
class DiskFloor:
    """Check, at most once per interval, whether all watched disks have space for new data."""

    settings: DiskSettings
    measure: Measure = measured
    now_s: Callable[[], float] = time.monotonic
    _low: dict[Path, str] = field(default_factory=dict)
    _next_measure_s: float = float("-inf")

    @property
    def paths(self) -> list[Path]:
        """Return the watched directories."""
        return [Path(each) for each in self.settings.paths.split(os.pathsep) if each]

    def reason(self) -> str | None:
        """Return why new data is refused; None if there is space."""
        now_s = self.now_s()
        if now_s >= self._next_measure_s:
            self._next_measure_s = now_s + self.settings.check_interval_s
            for path in self.paths:
                self._measure_path(path)
        return next(iter(self._low.values()), None)

    def refuse_when_low(self) -> None:
        """Check that there is space for new data.

        Raises:
            DiskFullError: the message names the disk.
        """
        reason = self.reason()
        if reason is not None:
            raise DiskFullError(reason)

    def _measure_path(self, path: Path) -> None:
        try:
            space = self.measure(path)
        except OSError as error:
            self._set(path, f"the disk of {path} cannot be read: {error.strerror}")
            return
        metrics.DISK_FREE_BYTES.labels(str(path)).set(space.free)
        levels = levels_of(self.settings, space.size)
        is_low = path in self._low
        wanted = levels.resume if is_low else levels.floor
        files_min = self.settings.free_min_inodes * (self.settings.resume_factor if is_low else 1)
        if space.free < wanted:
            low = (
                f"the disk of {path} has {space.free // MIB} MiB free; new data is accepted at "
                f"{levels.resume // MIB} MiB (TRACEMILL_DISK_FREE_MIN_BYTES, …_SHARE)"
            )
        elif space.free_inodes is not None and space.free_inodes < files_min:
            low = (
                f"the disk of {path} can take {space.free_inodes} more files; "
                f"{self.settings.free_min_inodes} are kept free (TRACEMILL_DISK_FREE_MIN_INODES)"
            )
        else:
            low = None
        self._set(path, low)

    def _set(self, path: Path, low: str | None) -> None:
        if low is None:
            self._low.pop(path, None)
        else:
            if path not in self._low:
                metrics.LIMIT_REACHED.labels("free_min_bytes").inc()
            self._low[path] = low
        metrics.DISK_LOW.labels(str(path)).set(low is not None)
