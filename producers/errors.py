"""Exceptions of this package; all derive from ``ProducersError``."""

from __future__ import annotations

from typing import ClassVar


class ProducersError(Exception):
    """Base class of this package's errors."""


class BrokerUnavailableError(ProducersError):
    """The broker did not answer."""


class TopicError(ProducersError):
    """A topic is missing or its layout differs from the settings."""


class TopicMismatchError(TopicError):
    """A topic exists with another number of partitions than the settings; change the settings."""


class ControlError(ProducersError):
    """The control-plane log refused or failed."""


class ControlConflictError(ControlError):
    """An id or unique key belongs to another record, which was first in the log."""


class ControlVersionError(ControlConflictError):
    """A record is not at the version that the writer expects."""


class ControlLimitError(ControlError):
    """A named limit of the control plane was reached."""


class InitError(ControlError):
    """The settings of the first project and key are incomplete; the message names them."""


class ControlUnavailableError(ControlError):
    """The log was not written or read back within the deadline.

    Whether the record was written is unknown.
    """


class DecodeInThreadError(ProducersError):
    """A body takes too long to decode on the event loop; decode it in a thread."""


class OverloadedError(ProducersError):
    """More is pending than ``limit`` allows; the request had no effect."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"too much is pending ({limit}); try again shortly")
        self.limit = limit


class DiskFullError(OverloadedError):
    """The disk of an engine is nearly full; ``reason`` names it. The request had no effect."""

    def __init__(self, reason: str) -> None:
        ProducersError.__init__(self, reason)
        self.limit = "free_min_bytes"


class UndeliveredError(ProducersError):
    """The broker did not acknowledge; the client should send everything again."""


class WebhookAddressError(ProducersError):
    """A webhook's URL is invalid, or resolves to an address that is not public.

    The message is safe to show to the client.
    """


class RequestError(ProducersError):
    """A request that cannot be served as it is; the message is safe to show to the client."""

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
    """The events of a request exceed what is published at once."""

    status = 413


class UnsupportedError(RequestError):
    """The content encoding is not supported."""

    status = 415


class TooManyRequestsError(RequestError):
    """The project exceeds a rate or quota; the request had no effect."""

    status = 429

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
