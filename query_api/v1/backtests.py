"""Validate the record and the range of a backtest, and evaluate it within a time limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from producers.control.record import ControlRecord
from query_api import metrics
from query_api.alerting.backtests import PastRange
from query_api.body import Body
from query_api.context import AppContext
from query_api.errors import BadRequestError, TooCostlyError
from query_api.times import SECOND_US
from query_api.v1.records import find
from tracemill.clock import now_us

POINTS_MAX: Final = 1_000
"""Maximum number of values of a group."""
SERIES_MAX: Final = 20
"""Maximum number of groups with values."""
_LATEST_S: Final = 2**32
_RANGE: Final = ("from", "to")
DAY: Final = "-1d"
"""Begin of the range of a backtest that has none."""

T = TypeVar("T")
BodyT = TypeVar("BodyT", bound=Body)
RecordT = TypeVar("RecordT", bound=ControlRecord)


def record_of(
    context: AppContext,
    record: type[RecordT],
    project_id: str,
    *,
    field: str,
    body: BodyT | None,
    record_id: str | None,
    new: Callable[[str, BodyT, int], RecordT],
) -> RecordT:
    """Return the record to evaluate: a new one of a body, or an existing one.

    Args:
        context: the context of the application.
        record: kind of the record.
        project_id: project of the request.
        field: name of the field with the body; that of the id is ``FIELD_id``.
        body: body of a new record.
        record_id: id of an existing record.
        new: returns the record that a body describes.

    Raises:
        BadRequestError: not exactly one of both is given, or the body is invalid; the error names
            the path from the top.
        NotFoundError: the project has no such record.
    """
    if body is not None and record_id is None:
        try:
            return new(project_id, body, now_us())
        except BadRequestError as error:
            message, path = f"{field}.{error.message}", f"{field}.{error.field}"
            raise BadRequestError(message, field=path, allowed=error.allowed) from error
    if body is None and record_id is not None:
        return find(context, record, project_id, record_id)
    raise BadRequestError(f"{field}: set exactly one of {field} and {field}_id", field=field)


def with_record(given: object, field: str) -> object:
    """Return a body whose record is in ``field``, also if its fields are beside the range."""
    if not isinstance(given, dict) or not {field, f"{field}_id"}.isdisjoint(given):
        return given
    within = {name: given[name] for name in _RANGE if name in given}
    record = {name: each for name, each in given.items() if name not in _RANGE}
    return {**within, field: record} if record else within


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


def one_at_a_time(context: AppContext, kind: str) -> asyncio.Semaphore:
    """Return what lets one backtest of a kind of records run at a time in this application."""
    found: asyncio.Semaphore = context.shared(("backtests", kind), lambda: asyncio.Semaphore(1))
    return found


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
