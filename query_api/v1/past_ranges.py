"""Validate the range of a backtest, and evaluate it within a time limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from query_api import metrics
from query_api.alerting.backtests import PastRange
from query_api.context import AppContext
from query_api.errors import BadRequestError, TooCostlyError
from query_api.times import SECOND_US
from tracemill.clock import now_us

POINTS_MAX: Final = 1_000
"""Maximum number of values of a group."""
SERIES_MAX: Final = 20
"""Maximum number of groups with values."""
_LATEST_S: Final = 2**32

T = TypeVar("T")


def past_range(
    context: AppContext, from_us: int, to_us: int | None, *, setting: str, resolution_s: int
) -> PastRange:
    """Return a range of whole panes; ``setting`` names the limit of its length.

    Raises:
        BadRequestError: it is empty or too long.
    """
    limit_s: int = getattr(context.settings, setting)
    to_s = (now_us() if to_us is None else to_us) // SECOND_US // resolution_s * resolution_s
    from_s = from_us // SECOND_US // resolution_s * resolution_s
    if from_s >= to_s:
        raise BadRequestError("from: must be before `to`", field="from")
    if to_s >= _LATEST_S:
        raise BadRequestError("to: must be before 2106", field="to")
    if to_s - from_s > limit_s:
        metrics.LIMITS_REACHED.labels(setting).inc()
        raise BadRequestError(f"from: must be at most {limit_s} s before `to`", field="from")
    step_s = max(resolution_s, -(-(to_s - from_s) // POINTS_MAX // resolution_s) * resolution_s)
    return PastRange(from_s, to_s, step_s, SERIES_MAX)


def too_many_rows(context: AppContext) -> TooCostlyError:
    """Return the error of a backtest that reads too many rows, and count it."""
    metrics.LIMITS_REACHED.labels("backtest_rows_max").inc()
    limit = context.settings.backtest_rows_max
    return TooCostlyError(f"more than {limit} rows; request a shorter range or fewer groups")


async def evaluated(context: AppContext, evaluate: Callable[[Callable[[], bool]], T]) -> T:
    """Evaluate in a thread, so that other requests are served.

    ``evaluate`` receives a function that returns whether to give up.

    Raises:
        TooCostlyError: it takes too long.
    """
    cancelled = threading.Event()
    limit_s = context.settings.backtest_time_max_s
    work = asyncio.to_thread(evaluate, cancelled.is_set)
    try:
        async with asyncio.timeout(limit_s):
            return await asyncio.shield(asyncio.ensure_future(work))
    except TimeoutError as error:
        metrics.LIMITS_REACHED.labels("backtest_time_max_s").inc()
        raise TooCostlyError(
            f"the backtest takes more than {limit_s:g} s; request a shorter range"
        ) from error
    finally:
        cancelled.set()
