"""Pause background work of the embedded engine while its disk is nearly full."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from producers.disk import DiskFloor

# Merges are stopped because a merge writes its result before it frees the source parts.
STOP: Final = ("SYSTEM STOP MERGES", "SYSTEM STOP TTL MERGES")
START: Final = ("SYSTEM START MERGES", "SYSTEM START TTL MERGES")
# Moves are stopped only if the cold volume is local, because then they free no space.
STOP_MOVES: Final = "SYSTEM STOP MOVES"
START_MOVES: Final = "SYSTEM START MOVES"
JOIN_TIMEOUT_S: Final = 5.0

log = structlog.get_logger(__name__)


class BackgroundWork:
    """Stops merges and moves while the disk is nearly full."""

    def __init__(self, disk: DiskFloor, run: Callable[[str], None], *, cold_is_local: bool) -> None:
        self._disk = disk
        self._run = run
        self._stop = (*STOP, STOP_MOVES) if cold_is_local else STOP
        self._start = (*START, START_MOVES) if cold_is_local else START
        self.is_stopped = False

    def check(self) -> None:
        """Stop or start the work, depending on the free space. Raises like the engine."""
        reason = self._disk.reason()
        if (reason is not None) == self.is_stopped:
            return
        for statement in self._start if self.is_stopped else self._stop:
            self._run(statement)
        self.is_stopped = not self.is_stopped
        if self.is_stopped:
            log.warning("merges_stopped", reason=reason)
        else:
            log.info("merges_started")

    @contextmanager
    def watched(self, interval_s: float) -> Iterator[None]:
        """Call ``check`` every ``interval_s``, in a thread, while the block runs."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(interval_s):
                try:
                    self.check()
                except Exception as error:  # noqa: BLE001  # the next check retries
                    log.warning("merges_not_stopped", error=str(error)[:300])

        thread = threading.Thread(target=watch, name="disk", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(JOIN_TIMEOUT_S)
