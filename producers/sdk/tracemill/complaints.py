"""How the tracer speaks up: in its log, rarely, and never by raising."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("tracemill")


class Complaints:
    """Counts what went wrong in the tracer's own dealings, and logs it at most once per ``interval_s`` and kind."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._said_at: dict[str, float] = {}
        self.mistakes = 0

    def mistake(self, what: str, error: BaseException | str) -> None:
        """An argument nobody can use, or a defect of the tracer: the host goes on without that piece."""
        self.mistakes += 1
        self.say("mistake", "tracemill: %s: %s (%d so far)", what, error, self.mistakes)

    def say(self, kind: str, message: str, *arguments: object) -> None:
        """Log a warning unless one of this kind was logged a moment ago."""
        now = time.monotonic()
        if now - self._said_at.get(kind, -self._interval_s) >= self._interval_s:
            self._said_at[kind] = now
            logger.warning(message, *arguments)
