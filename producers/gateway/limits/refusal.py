"""Refuse a request that exceeds a limit of its project."""

from __future__ import annotations

import math
from typing import Final, NoReturn

from producers import metrics
from producers.errors import TooManyRequestsError

RETRY_AFTER_MAX_S: Final = 31 * 86_400
"""Maximum value of ``Retry-After``: the longest period of a quota."""


def refuse(limit: str, allowed: str, wait_s: float) -> NoReturn:
    """Count an exceeded limit, and raise.

    Raises:
        TooManyRequestsError: always.
    """
    metrics.OVER_LIMIT.labels(limit).inc()
    retry_after_s = min(max(1, math.ceil(wait_s)), RETRY_AFTER_MAX_S)
    message = f"the project may send {allowed} ({limit}); try again in {retry_after_s} s"
    raise TooManyRequestsError(message, retry_after_s)
