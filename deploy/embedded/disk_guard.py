"""Stops the embedded broker before its disk is full, and starts nothing while it is.

A broker whose write fails ends and has lost nothing; a broker that recovers its log on a full disk
truncates it, including the metadata of all topics. So it is stopped before the disk is full, and
after any end it is not restarted until there is enough space to recover. A reserve file covers what
is written between two checks, and lets a broker that was stopped cleanly (nothing to recover) start
on a full disk, so that what is stored can be queried.
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
"""Share of the stop level that must be free for a broker to run on the reserve."""
GIVE_UP_RESERVE_AFTER_S: Final = 10.0
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"
BROKER: Final = "broker"


class Stoppable(Protocol):
    """What the guard needs of the supervisor."""

    def is_running(self, name: str) -> bool: ...

    def is_starting(self, name: str) -> bool: ...

    def stop_for_now(self, name: str, reason: str, *, at_once: bool) -> None:
        """Stop a process until ``DiskGuard.lack`` is None again."""


class DiskGuard:
    """Watches the file system of one data directory for the supervisor."""

    def __init__(
        self,
        data_dir: Path,
        settings: DiskSettings,
        *,
        say: Callable[[str], None],
        measure: Measure = measured,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data_dir = data_dir
        self._reserve = data_dir / "reserve"
        self._settings = settings
        self._say = say
        self._measure = measure
        self._now_s = now_s
        self._free, self._size = self._look()
        self._starved_since_s: float | None = None
        self._on_reserve = False
        if self._free < self._levels.start:
            self._starved_since_s = now_s()

    def lack(self) -> str | None:
        """Return why nothing may be started now; None while there is enough space."""
        if self._starved_since_s is None or self._on_reserve:
            return None
        return (
            f"the disk of {self._data_dir} has {self._free // MIB} MiB free, "
            f"{self._levels.start // MIB} MiB are needed"
        )

    async def watch(self, supervised: Stoppable) -> None:
        """Check every ``check_interval_s``, until cancelled."""
        while True:
            with contextlib.suppress(OSError):  # writing the reserve failed; the next check retries
                self.check(supervised)
            await asyncio.sleep(self._settings.check_interval_s)

    def check(self, supervised: Stoppable) -> None:
        """Check once: 1. stop the broker if it must not write; 2. delete or create the reserve."""
        try:
            self._free, self._size = self._look()
        except OSError:
            return  # the free space of a disk that does not answer is unknown
        levels = self._levels
        if self._free >= levels.start:
            self._end_of_shortage()
        elif self._free < levels.stop and self._starved_since_s is None:
            self._starved_since_s = self._now_s()
        if self._is_starved_of_everything():
            self._stop_broker(supervised)
        if self._starved_since_s is not None and not supervised.is_running(BROKER):
            self._start_on_reserve()
        if self._free >= levels.resume + self._reserve_bytes and self._reserve_bytes:
            self._make_reserve()

    @property
    def _levels(self) -> Levels:
        return levels_of(self._settings, self._size)

    @property
    def _reserve_bytes(self) -> int:
        return min(self._settings.reserve_bytes, int(self._size * RESERVE_SHARE))

    def _is_starved_of_everything(self) -> bool:
        if self._starved_since_s is None:
            return False
        if self._on_reserve:
            return self._free < self._levels.stop * RECOVERY_SHARE
        return True

    def _end_of_shortage(self) -> None:
        if self._starved_since_s is not None:
            self._say(f"there is room on the disk again: {self._free // MIB} MiB")
        self._starved_since_s, self._on_reserve = None, False

    def _stop_broker(self, supervised: Stoppable) -> None:
        """Stop a running broker cleanly; kill one that is recovering, which loses nothing."""
        if not supervised.is_running(BROKER):
            return
        is_recovering = supervised.is_starting(BROKER)
        if is_recovering:
            self._reserve.unlink(missing_ok=True)
        self._on_reserve = False
        reason = f"the disk of {self._data_dir} has {self._free // MIB} MiB free"
        supervised.stop_for_now(BROKER, reason, at_once=is_recovering)

    def _start_on_reserve(self) -> None:
        assert self._starved_since_s is not None
        has_waited = self._now_s() - self._starved_since_s >= GIVE_UP_RESERVE_AFTER_S
        if self._on_reserve or not has_waited or not self._reserve.exists():
            return
        needed = self._levels.stop * RECOVERY_SHARE
        is_clean = (self._data_dir / "kafka" / "log" / CLEAN_SHUTDOWN).exists()
        if is_clean and self._free + self._reserve.stat().st_size >= needed * 1.5:
            self._reserve.unlink(missing_ok=True)
            self._on_reserve = True
            self._say(
                "the disk is full: starting on the reserve, to answer queries only; "
                f"events are accepted again at {self._levels.resume // MIB} MiB free"
            )

    def _make_reserve(self) -> None:
        if self._reserve.exists():
            return
        with contextlib.suppress(OSError):  # a later check creates it
            staged = self._reserve.with_suffix(".new")
            with staged.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._reserve_bytes)
            staged.replace(self._reserve)

    def _look(self) -> tuple[int, int]:
        space = self._measure(self._data_dir)
        return space.free, space.size
