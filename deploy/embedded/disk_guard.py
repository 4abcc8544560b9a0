"""Stop the embedded broker before its disk is full, and prevent starts until there is space.

A broker whose write fails exits without losing data. But a broker that recovers its log on a full
disk truncates it, including the metadata of all topics. Therefore the broker is stopped before the
disk is full, and not started again until there is enough space to recover. A reserve file provides
space for writes between two checks. It also allows starting a broker on a full disk if it was
stopped cleanly and has nothing to recover, so that stored data can be queried.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from producers.disk import MIB, DiskSettings, Levels, Measure, levels_of, measured

RESERVE_SHARE: Final = 1 / 16
RECOVERY_SHARE: Final = 0.25
"""Share of the stop level that must be free while a broker uses the reserve."""
USE_RESERVE_AFTER_S: Final = 10.0
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"
BROKER: Final = "broker"


class Stoppable(Protocol):
    """The interface of the supervisor for the guard."""

    def is_running(self, name: str) -> bool: ...

    def is_starting(self, name: str) -> bool: ...

    def stop_for_now(self, name: str, reason: str, *, at_once: bool) -> None:
        """Stop a process until ``DiskGuard.shortage`` returns None."""


class DiskGuard:
    """A guard that stops the broker when the free space of the data directory is too low."""

    def __init__(
        self,
        data_dir: Path,
        settings: DiskSettings,
        *,
        print_line: Callable[[str], None],
        measure: Measure = measured,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data_dir = data_dir
        self._reserve = data_dir / "reserve"
        self._settings = settings
        self._print_line = print_line
        self._measure = measure
        self._now_s = now_s
        self._free, self._size = self._measure_disk()
        self._short_since_s: float | None = None
        self._on_reserve = False
        if self._free < self._levels.start:
            self._short_since_s = now_s()

    def shortage(self) -> str | None:
        """Return the reason why no process may be started now; None if there is enough space."""
        if self._short_since_s is None or self._on_reserve:
            return None
        return (
            f"the disk of {self._data_dir} has {self._free // MIB} MiB free; "
            f"starting needs {self._levels.start // MIB} MiB"
        )

    async def watch(self, supervised: Stoppable) -> None:
        """Check every ``check_interval_s``, until cancelled."""
        while True:
            with contextlib.suppress(OSError):  # writing the reserve failed; the next check retries
                self.check(supervised)
            await asyncio.sleep(self._settings.check_interval_s)

    def check(self, supervised: Stoppable) -> None:
        """Stop the broker if the space is too low; then delete or create the reserve."""
        try:
            self._free, self._size = self._measure_disk()
        except OSError:
            return  # the free space of a disk that does not respond is unknown
        levels = self._levels
        if self._free >= levels.start:
            self._end_shortage()
        elif self._free < levels.stop and self._short_since_s is None:
            self._short_since_s = self._now_s()
        if self._must_stop_broker():
            self._stop_broker(supervised)
        if self._short_since_s is not None and not supervised.is_running(BROKER):
            self._start_on_reserve()
        if self._free >= levels.resume + self._reserve_bytes and self._reserve_bytes:
            self._make_reserve()

    @property
    def _levels(self) -> Levels:
        return levels_of(self._settings, self._size)

    @property
    def _reserve_bytes(self) -> int:
        return min(self._settings.reserve_bytes, int(self._size * RESERVE_SHARE))

    def _must_stop_broker(self) -> bool:
        if self._short_since_s is None:
            return False
        if self._on_reserve:
            return self._free < self._levels.stop * RECOVERY_SHARE
        return True

    def _end_shortage(self) -> None:
        if self._short_since_s is not None:
            self._print_line(f"the disk has enough free space again: {self._free // MIB} MiB")
        self._short_since_s, self._on_reserve = None, False

    def _stop_broker(self, supervised: Stoppable) -> None:
        """Stop a running broker cleanly; kill one that is recovering, which loses no data."""
        if not supervised.is_running(BROKER):
            return
        is_recovering = supervised.is_starting(BROKER)
        if is_recovering:
            self._reserve.unlink(missing_ok=True)
        self._on_reserve = False
        reason = f"the disk of {self._data_dir} has {self._free // MIB} MiB free"
        supervised.stop_for_now(BROKER, reason, at_once=is_recovering)

    def _start_on_reserve(self) -> None:
        assert self._short_since_s is not None
        has_waited = self._now_s() - self._short_since_s >= USE_RESERVE_AFTER_S
        if self._on_reserve or not has_waited or not self._reserve.exists():
            return
        needed = self._levels.stop * RECOVERY_SHARE
        is_clean = (self._data_dir / "kafka" / "log" / CLEAN_SHUTDOWN).exists()
        if is_clean and self._free + self._reserve.stat().st_size >= needed * 1.5:
            self._reserve.unlink(missing_ok=True)
            self._on_reserve = True
            self._print_line(
                "the disk is full: the roles start with reserved space and only answer queries; "
                f"events are accepted again when {self._levels.resume // MIB} MiB are free"
            )

    def _make_reserve(self) -> None:
        if self._reserve.exists():
            return
        with contextlib.suppress(OSError):  # a later check creates it
            staged = self._reserve.with_suffix(".new")
            with staged.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._reserve_bytes)
            staged.replace(self._reserve)

    def _measure_disk(self) -> tuple[int, int]:
        space = self._measure(self._data_dir)
        return space.free, space.size
