"""Keeps the embedded broker away from a full disk, and starts nothing into one.

A broker whose write fails ends and has lost nothing; a broker that recovers its log on a full disk
truncates it, the metadata of all topics included. So it is stopped before the disk is full, and after
any end it waits until there is room to recover. A reserve of space covers what is written between two
looks, and lets a broker that was stopped cleanly (nothing to recover) start on a full disk, so that
what is stored can be queried.
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
"""Of the stop level: what a broker needs at least that runs on the reserve."""
GIVE_UP_RESERVE_AFTER_S: Final = 10.0
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"
BROKER: Final = "broker"


class Stoppable(Protocol):
    """What the guard needs of the supervisor."""

    def is_running(self, name: str) -> bool: ...

    def is_starting(self, name: str) -> bool: ...

    def stop_for_now(self, name: str, reason: str, *, at_once: bool) -> None:
        """Stop a process; it is started again when there is room."""


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
        """Why nothing may be started now; None while there is room."""
        if self._starved_since_s is None or self._on_reserve:
            return None
        return (
            f"the disk of {self._data_dir} has {self._free // MIB} MiB free, "
            f"{self._levels.start // MIB} MiB are needed"
        )

    async def watch(self, supervised: Stoppable) -> None:
        """Look every ``check_interval_s``, until cancelled."""
        while True:
            with contextlib.suppress(OSError):  # of the reserve; the next look tries again
                self.check(supervised)
            await asyncio.sleep(self._settings.check_interval_s)

    def check(self, supervised: Stoppable) -> None:
        """Look once: 1. stop the broker if it must not write; 2. give up or make the reserve."""
        try:
            self._free, self._size = self._look()
        except OSError:
            return  # a disk that does not answer has no room that one could measure
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
        """A broker that recovers is killed, which it bears; one that runs is stopped cleanly."""
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
        with contextlib.suppress(OSError):  # made at a later look
            staged = self._reserve.with_suffix(".new")
            with staged.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._reserve_bytes)
            staged.replace(self._reserve)

    def _look(self) -> tuple[int, int]:
        space = self._measure(self._data_dir)
        return space.free, space.size
