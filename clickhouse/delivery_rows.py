"""Define the rows of the table ``delivery_log``."""

from __future__ import annotations

import msgspec


class DeliveryAttemptRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An attempt to deliver alerts. Key: project, day, delivery, attempt."""

    project_id: str
    delivery_id: str
    attempt: int
    """Number of the attempt; 0: the delivery ended before the first one. An attempt that did not
    count, such as a probe of a failing endpoint, has the number of the one before."""
    alert_ids: tuple[str, ...] = ()
    target_kind: str
    """``webhook`` or ``channel``."""
    target_id: str
    event: str = ""
    status: str
    """State of the delivery after the attempt: ``pending``, ``delivered``, ``exhausted``,
    ``dropped``, or ``failed`` (a test)."""
    status_code: int = 0
    """HTTP status of the response; 0: there was none."""
    latency_ms: float = 0.0
    answer: str = ""
    """The beginning of the response's body."""
    detail: str = ""
    created_us: int
    attempted_us: int
    next_attempt_us: int = 0
    """0: there will be no more attempts."""
    row_version: int
