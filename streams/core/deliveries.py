"""Deliveries: how far one alert came to one webhook, and when to try again.

No state: not tried yet. Then ``pending`` with the time of the next attempt, until ``delivered``, ``exhausted`` (the schedule is used up: a dead letter)
or ``gone`` (the receiver said so, or its webhook was deleted or disabled).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import msgspec

from clickhouse.rows import DeadLetterRow
from producers.notifications.alert import Alert

DETAIL_MAX_CHARS: Final = 500
RETRY_AFTER_MAX_CHARS: Final = 64
"""A date of any of the formats allowed takes about half of it."""
_HTTP_DATE: Final = re.compile(
    r"(?:[A-Za-z]{3,9},? +)?"
    r"(?:[0-9]{1,2}[ -][A-Za-z]{3}[ -][0-9]{2,4} +[0-9]{1,2}:[0-9]{2}:[0-9]{2}"
    r"(?: +(?:[A-Za-z]{1,5}|[+-][0-9]{4}))?"
    r"|[A-Za-z]{3} +[0-9]{1,2} +[0-9]{1,2}:[0-9]{2}:[0-9]{2} +[0-9]{4})"
)
"""The dates of RFC 9110, with any short zone: every number in it is small."""
_SECOND_US: Final = 1_000_000

Status = Literal["pending", "delivered", "exhausted", "gone"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one alert × webhook; the value on the topic ``deliveries``."""

    alert_id: str
    webhook_id: str
    status: Status = "pending"
    attempts: int = 0
    next_attempt_us: int = 0
    updated_us: int = 0
    detail: str = ""
    """What the last attempt met."""

    @property
    def id(self) -> str:
        return delivery_id(self.alert_id, self.webhook_id)


def delivery_id(alert_id: str, webhook_id: str) -> str:
    return f"{alert_id}/{webhook_id}"


def ended(delivery: Delivery, status: Status, now_us: int, detail: str = "") -> Delivery:
    """The delivery, done with."""
    tried = status in {"delivered", "exhausted"}
    return msgspec.structs.replace(
        delivery,
        status=status,
        attempts=delivery.attempts + tried,
        updated_us=now_us,
        detail=detail[:DETAIL_MAX_CHARS],
    )


def failed(
    delivery: Delivery,
    now_us: int,
    detail: str,
    *,
    schedule_s: Sequence[float],
    jitter: float,
    retry_after_s: float = 0.0,
) -> Delivery:
    """The delivery after an attempt that failed.

    Args:
        delivery: as it was before the attempt.
        now_us: when the attempt ended.
        detail: what it met.
        schedule_s: pauses between attempts; when they are used up, the delivery is exhausted.
        jitter: by which part of itself the pause grows, so that receivers coming back are not met by everyone at once.
        retry_after_s: the pause the receiver asked for; never shortens the schedule's.
    """
    if delivery.attempts >= len(schedule_s):
        return ended(delivery, "exhausted", now_us, detail)
    pause_s = max(schedule_s[delivery.attempts] * (1 + jitter), retry_after_s)
    return msgspec.structs.replace(
        delivery,
        attempts=delivery.attempts + 1,
        next_attempt_us=now_us + int(pause_s * _SECOND_US),
        updated_us=now_us,
        detail=detail[:DETAIL_MAX_CHARS],
    )


def retry_after_s(header: str | None, now_us: int, *, max_s: float) -> float:
    """Return the seconds that a ``Retry-After`` header asks for, at most ``max_s``.

    RFC 9110 allows a whole number or a date. Anything else counts as 0, as does a header that is
    too long: a receiver may send anything.
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
        asked_s = at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now_us / _SECOND_US
    except (ValueError, TypeError, IndexError, ArithmeticError):  # no day of any calendar
        return 0.0
    return min(max(asked_s, 0.0), max_s)


def dead_letter(alert: Alert, delivery: Delivery, body: bytes) -> DeadLetterRow:
    """Return the row of an exhausted delivery, with the ``body`` that could not be delivered."""
    return DeadLetterRow(
        project_id=alert.project_id,
        id=delivery.id,
        created_us=alert.created_us,
        stage="notifier",
        reason="webhook_exhausted",
        detail=f"{delivery.attempts} attempts; the last: {delivery.detail}",
        payload=body.decode(),
    )
