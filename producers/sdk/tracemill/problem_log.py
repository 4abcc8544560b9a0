"""Log the tracer's problems at a limited rate, instead of raising them in the application."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("tracemill")


class ProblemLog:
    """Count mistakes, and log each kind of problem at most once per ``interval_s``."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._logged_at: dict[str, float] = {}
        self.mistakes = 0

    def mistake(self, what: str, error: BaseException | str) -> None:
        """Count and log an invalid argument, or a defect of the tracer."""
        self.mistakes += 1
        self.warn("mistake", "tracemill: %s: %s (%d so far)", what, error, self.mistakes)

    def warn(self, kind: str, message: str, *arguments: object) -> None:
        """Log a warning, unless one of the same kind was logged within the interval."""
        now = time.monotonic()
        if now - self._logged_at.get(kind, -self._interval_s) >= self._interval_s:
            self._logged_at[kind] = now
            logger.warning(message, *arguments)
