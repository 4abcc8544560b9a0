"""Convert states of webhook deliveries to records and back; parse ``Retry-After`` headers.

A delivery is a job of kind ``webhook_delivery``. Its state has its own record format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import msgspec

from clickhouse.rows import DeadLetterRow
from producers.notifications.alert import Alert
from streams.core.jobs.state import JobState, Status

RETRY_AFTER_MAX_CHARS: Final = 64
"""Maximum length of a header; longer ones are ignored. Dates have about half of it."""
_HTTP_DATE: Final = re.compile(
    r"(?:[A-Za-z]{3,9},? +)?"
    r"(?:[0-9]{1,2}[ -][A-Za-z]{3}[ -][0-9]{2,4} +[0-9]{1,2}:[0-9]{2}:[0-9]{2}"
    r"(?: +(?:[A-Za-z]{1,5}|[+-][0-9]{4}))?"
    r"|[A-Za-z]{3} +[0-9]{1,2} +[0-9]{1,2}:[0-9]{2}:[0-9]{2} +[0-9]{4})"
)
"""Date formats of RFC 9110, with any short time zone; numbers have a limited length."""
_SECOND_US: Final = 1_000_000
REQUEST_PREFIX: Final = "drq_"
"""Beginning of the ids of requests."""

DeliveryStatus = Literal["pending", "delivered", "exhausted", "gone"]
_STATUS_OF_JOB: Final[Mapping[Status, DeliveryStatus]] = {
    "pending": "pending",
    "done": "delivered",
    "exhausted": "exhausted",
    "dropped": "gone",
}
_STATUS_OF_DELIVERY: Final[Mapping[DeliveryStatus, Status]] = {
    delivery: job for job, delivery in _STATUS_OF_JOB.items()
}


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """State of delivering an alert to a webhook; the value of records on ``deliveries``."""

    alert_id: str
    webhook_id: str
    request_id: str = ""
    """The request that repeats the delivery; empty: it is the first one."""
    status: DeliveryStatus = "pending"
    attempts: int = 0
    next_attempt_us: int = 0
    updated_us: int = 0
    refused_until_us: int = 0
    """Time until which the receiver requested a pause."""
    detail: str = ""
    """Result of the last attempt."""

    @property
    def id(self) -> str:
        return delivery_id(self.alert_id, self.webhook_id, self.request_id)

    @property
    def state(self) -> JobState:
        """Return the state of the delivery's job."""
        return JobState(
            status=_STATUS_OF_DELIVERY[self.status],
            attempts=self.attempts,
            next_attempt_us=self.next_attempt_us,
            updated_us=self.updated_us,
            refused_until_us=self.refused_until_us,
            detail=self.detail,
        )


def delivery_id(alert_id: str, webhook_id: str, request_id: str = "") -> str:
    """Return the id of a delivery, which is the key of its records.

    ``request_id`` is the request that repeats the delivery; empty: it is the first one.
    """
    return "/".join(filter(None, (alert_id, webhook_id, request_id)))


def delivery_of(job_id: str, state: JobState) -> Delivery:
    """Return the delivery whose job has this state."""
    alert_id, _, rest = job_id.partition("/")
    webhook_id, separator, number = rest.partition(f"/{REQUEST_PREFIX}")
    request_id = REQUEST_PREFIX + number if separator else ""
    return Delivery(
        alert_id=alert_id,
        webhook_id=webhook_id,
        request_id=request_id,
        status=_STATUS_OF_JOB[state.status],
        attempts=state.attempts,
        next_attempt_us=state.next_attempt_us,
        updated_us=state.updated_us,
        refused_until_us=state.refused_until_us,
        detail=state.detail,
    )


def retry_after_s(header: str | None, now_us: int, *, max_s: float) -> float:
    """Return the pause that a ``Retry-After`` header requests, in seconds, at most ``max_s``.

    RFC 9110 allows a whole number of seconds or a date. Any other value counts as 0.
    """
    text = (header or "").strip()
    if len(text) > RETRY_AFTER_MAX_CHARS:
        return 0.0
    if text.isascii() and text.isdigit():
        return min(float(text), max_s)
    if not _HTTP_DATE.fullmatch(text):
        return 0.0
    try:
        at = parsedate_to_datetime(text)
        requested_s = at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now_us / _SECOND_US
    except (ValueError, TypeError, IndexError, ArithmeticError):  # not a valid date
        return 0.0
    return min(max(requested_s, 0.0), max_s)


def dead_letter(alert: Alert, job_id: str, state: JobState, body: bytes) -> DeadLetterRow:
    """Return the dead letter of an exhausted delivery, with the undelivered ``body``."""
    return DeadLetterRow(
        project_id=alert.project_id,
        id=job_id,
        created_us=alert.created_us,
        stage="notifier",
        reason="webhook_exhausted",
        detail=f"{state.attempts} attempts failed; the last one: {state.detail}",
        payload=body.decode(),
    )
