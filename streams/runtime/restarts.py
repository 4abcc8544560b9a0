"""Restart a failed task with exponential backoff, so that its failure does not end others.

No retry library is used, because here a long run resets the backoff even though it failed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

EXPONENT_MAX: Final = 30
"""Limit of the exponent, which prevents overflow."""


def pause_s(failures: int, first_s: float, max_s: float) -> float:
    """Return the pause after consecutive failures: each one doubles it, with jitter."""
    longest_s = min(max_s, first_s * 2.0 ** min(max(failures - 1, 0), EXPONENT_MAX))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing


async def keep_running(
    run: Callable[[], Awaitable[None]],
    *,
    first_pause_s: float,
    pause_max_s: float,
    on_failure: Callable[[Exception, float], None],
) -> None:
    """Await ``run`` and repeat it after each failure, until it returns or is cancelled.

    Args:
        run: the task; a run of more than ``pause_max_s`` resets the count of failures.
        first_pause_s: pause after the first failure.
        pause_max_s: maximum pause.
        on_failure: called with the exception and the pause before the restart.
    """
    failures = 0
    while True:
        began_s = time.monotonic()
        try:
            return await run()
        except Exception as error:  # noqa: BLE001  # any failure leads to a restart
            failures = 1 if time.monotonic() - began_s > pause_max_s else failures + 1
            wait_s = pause_s(failures, first_pause_s, pause_max_s)
            on_failure(error, wait_s)
        await asyncio.sleep(wait_s)
