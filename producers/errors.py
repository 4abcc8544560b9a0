"""Exceptions of this package, all derived from ``ProducersError``."""

from __future__ import annotations

from typing import ClassVar

from aiokafka.errors import KafkaError


class ProducersError(Exception):
    """Base class of this package's errors."""


class BrokerUnavailableError(ProducersError):
    """The broker did not answer."""


class TopicError(ProducersError):
    """A topic is missing, or its layout differs from the settings."""


class TopicMismatchError(TopicError):
    """A topic has another number of partitions than the settings define."""


class LogStalledError(ProducersError, KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The broker returned no records of a log for too long, although there are more."""


class LogTruncatedError(ProducersError, KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """A log does not hold the next offset: retention removed it, or the topic was created again."""


class ControlError(ProducersError):
    """A control record could not be written or read."""


class ControlConflictError(ControlError):
    """An id or a unique key belongs to another record."""


class ControlVersionError(ControlConflictError):
    """A record has another version than the writer expects."""


class ControlLimitError(ControlError):
    """A limit of the control plane was reached; the message names it."""


class InitError(ControlError):
    """Settings of the first project, its key, or the media are invalid; the message names them."""


class ControlUnavailableError(ControlError):
    """A write was not finished in time, or the log could not be read in time.

    After a write, it is unknown whether the record was written.
    """


class DecodeInThreadError(ProducersError):
    """A body would take too long to decode on the event loop, and must be decoded in a thread."""


class OverloadedError(ProducersError):
    """More is pending than the setting ``limit`` allows. The request had no effect."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"too much is pending ({limit}); try again shortly")
        self.limit = limit


class DiskFullError(OverloadedError):
    """The disk of an engine is nearly full; ``reason`` names it. The request had no effect."""

    def __init__(self, reason: str) -> None:
        ProducersError.__init__(self, reason)
        self.limit = "free_min_bytes"


class UndeliveredError(ProducersError):
    """The broker did not acknowledge an event in time; the client should send the request again."""


class WebhookAddressError(ProducersError):
    """A webhook's URL is invalid, or resolves to an address that is not public.

    The message is safe to show to the client.
    """


class RequestError(ProducersError):
    """An invalid request. The message is safe to show to the client."""

    status: ClassVar[int] = 400


class UnauthorizedError(RequestError):
    """The credential is missing or unknown."""

    status = 401


class ForbiddenError(RequestError):
    """The credential is valid but does not permit this request."""

    status = 403


class BodyError(RequestError):
    """The body is not valid; the message names the field."""


class BodyTimeoutError(RequestError):
    """The body did not arrive in time."""

    status = 408


class TooLargeError(RequestError):
    """A body or an event exceeds its limit."""

    status = 413


class BatchTooLargeError(RequestError):
    """The events of a request are too many or too large in total."""

    status = 413


class UnsupportedError(RequestError):
    """The content encoding is not supported."""

    status = 415


class TooManyRequestsError(RequestError):
    """The project exceeds a rate or a quota. The request had no effect."""

    status = 429

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
