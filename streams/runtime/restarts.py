"""Start a task again after it failed, with growing pauses, so that its failure ends nothing else.

Own code and not a retry library: those count the attempts at one call, while here a run that
lasted counts as a success although it failed at last.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

EXPONENT_MAX: Final = 30
"""Above it the pause is the longest one whatever it began with."""


def pause_s(failures: int, first_s: float, max_s: float) -> float:
    """Return the pause after some failures in a row: doubled each time, with jitter."""
    longest_s = min(max_s, first_s * 2.0 ** min(max(failures - 1, 0), EXPONENT_MAX))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing


async def keep_running(
    run: Callable[[], Awaitable[None]],
    *,
    first_pause_s: float,
    pause_max_s: float,
    on_failure: Callable[[Exception, float], None],
) -> None:
    """Await ``run`` again and again until cancelled or until it returns.

    Args:
        run: the task; one that ran for longer than ``pause_max_s`` counts as the first to fail.
        first_pause_s: pause after the first failure.
        pause_max_s: the longest pause.
        on_failure: is given the exception and the pause that follows.
    """
    failures = 0
    while True:
        began_s = time.monotonic()
        try:
            return await run()
        except Exception as error:  # noqa: BLE001  # whatever it was, the others go on
            failures = 1 if time.monotonic() - began_s > pause_max_s else failures + 1
            wait_s = pause_s(failures, first_pause_s, pause_max_s)
            on_failure(error, wait_s)
        await asyncio.sleep(wait_s)
