"""Everything that can go wrong in this room.

ProducersError
├── BrokerUnavailableError      nobody answered at the broker's address, or not in time
├── TopicError                  a topic is missing, or not what it should be
│   └── TopicMismatchError      it exists, with other partitions than the settings say
├── ControlError
│   ├── ControlConflictError    somebody else holds that id or that unique key
│   │   └── ControlVersionError a record changed since it was read
│   ├── ControlLimitError       too large a record, or too many of them
│   ├── InitError               the first project and key are not as the settings say
│   └── ControlUnavailableError the log could not be written or read back in time
├── MoreWorkError               a body is too much work for the event loop
├── OverloadedError             a limit on what may be pending was reached: try again later
│   └── DiskFullError           the disk is nearly full: try again when there is space
├── UndeliveredError            the broker did not acknowledge in time: try again later
├── WebhookAddressError         a webhook's URL goes where none may go
└── RequestError                the client's fault; carries the status and the answer
├── UnauthorizedError       401
├── ForbiddenError          403
├── BodyError               400
├── TooLargeError           413
├── BatchTooLargeError      413
└── UnsupportedError        415
"""

from __future__ import annotations

from typing import ClassVar


class ProducersError(Exception):
    """Root of this room's errors."""


class BrokerUnavailableError(ProducersError):
    """The broker did not answer."""


class TopicError(ProducersError):
    """A topic is missing or has another shape than the settings say."""


class TopicMismatchError(TopicError):
    """A topic exists with another number of partitions than the settings say: only other settings help."""


class ControlError(ProducersError):
    """The control-plane log refused or failed."""


class ControlConflictError(ControlError):
    """An id or unique key is taken: the first writer in the log holds it."""


class ControlVersionError(ControlConflictError):
    """A record is not at the version that the writer expects."""


class ControlLimitError(ControlError):
    """A named limit of the control plane was reached."""


class InitError(ControlError):
    """The settings of the first project and key ask for what cannot be; the message says what to set."""


class ControlUnavailableError(ControlError):
    """The log could not be written, or not read back, within the deadline. Whether the record was written is unknown."""


class MoreWorkError(ProducersError):
    """A body is too much work for the event loop; it has to be decoded in a thread."""


class OverloadedError(ProducersError):
    """More is pending than ``limit`` allows; nothing of the request was taken."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"too much is pending ({limit}); try again shortly")
        self.limit = limit


class DiskFullError(OverloadedError):
    """The disk of an engine is nearly full; the request had no effect. ``reason`` names the disk."""

    def __init__(self, reason: str) -> None:
        ProducersError.__init__(self, reason)
        self.limit = "free_min_bytes"


class UndeliveredError(ProducersError):
    """The broker did not acknowledge; the client should send everything again."""


class WebhookAddressError(ProducersError):
    """A webhook's URL is none, or leads to an address that is not public; the message is safe to show to the client."""


class RequestError(ProducersError):
    """A request that cannot be served as it is; the message is safe to show to the client."""

    status: ClassVar[int] = 400


class UnauthorizedError(RequestError):
    """No credential, or not one we know."""

    status = 401


class ForbiddenError(RequestError):
    """A known credential, but not for this."""

    status = 403


class BodyError(RequestError):
    """The body is not what the route takes; the message names what is wrong."""


class BodyTimeoutError(RequestError):
    """The body did not arrive in time."""

    status = 408


class TooLargeError(RequestError):
    """A body or an event above its limit."""

    status = 413


class BatchTooLargeError(RequestError):
    """What a request says becomes more than may be published at once."""

    status = 413


class UnsupportedError(RequestError):
    """A content encoding that is not spoken here."""

    status = 415
