"""Limit the effect of unexpected exceptions to one item, and log and count them."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import structlog

from producers import metrics
from producers.errors import BodyError, ProducersError

P = ParamSpec("P")
T = TypeVar("T")

PROCESSING_FAILED: Final = "processing_failed"
MESSAGE_CHARS_MAX: Final = 300
LOG_INTERVAL_S: Final = 1.0

log = structlog.get_logger(__name__)


class _LogLimit:
    """Allow one log line per ``LOG_INTERVAL_S`` for all exceptions together."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def allows(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + LOG_INTERVAL_S
        return True


_log_limit: Final = _LogLimit()


def fingerprint_of(error: BaseException) -> str:
    """Return a short id of an exception's type and location, which does not depend on the input."""
    frames = traceback.extract_tb(error.__traceback__)
    place = ";".join(f"{frame.filename.rpartition('/')[2]}:{frame.name}" for frame in frames[-4:])
    return hashlib.sha256(f"{type(error).__name__};{place}".encode()).hexdigest()[:12]


def describe_failure(source: str, error: BaseException) -> str:
    """Count and log an unexpected exception; return its type, message and fingerprint."""
    fingerprint = fingerprint_of(error)
    metrics.PROCESSING_FAILURES.labels(source=source).inc()
    if _log_limit.allows():
        log.error("processing_failed", source=source, fingerprint=fingerprint, exc_info=error)
    message = str(error)[:MESSAGE_CHARS_MAX]
    return f"{source}: {type(error).__name__}: {message} (fingerprint {fingerprint})"


def refusing_body(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that depends only on the body; reject the body if it raises an exception.

    Raises:
        BodyError: the function raised an unexpected exception.
    """
    try:
        return function(*args, **kwargs)
    except ProducersError:
        raise
    except Exception as error:
        described = describe_failure("body", error)
        raise BodyError(f"the body cannot be processed ({described})") from error
