"""Convert exceptions to the gRPC statuses that OTLP exporters expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from producers.errors import BodyTimeoutError, OverloadedError, RequestError, UndeliveredError
from producers.gateway.http.body import ClientGoneError

BODY_LATE: Final = "the body took too long to arrive"
MESSAGE_CHARS_MAX: Final = 1_000
"""Maximum length of a message. It is sent in HTTP/2 headers, which clients limit to 8 KiB."""
STATUS_DETAILS: Final = "grpc-status-details-bin"
_TOO_MANY_REQUESTS: Final = 429

_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.UNIMPLEMENTED,
    _TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""gRPC codes by the HTTP status of errors."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The status of a call that failed."""

    code: grpc.StatusCode
    message: str
    retry_after_s: int | None = None
    """Time after which the call can be sent again; None if it is unknown."""

    @property
    def metadata(self) -> tuple[tuple[str, bytes], ...]:
        """Return trailing metadata: ``google.rpc.Status`` with ``RetryInfo``, or nothing."""
        if self.retry_after_s is None:
            return ()
        info = AnyMessage()
        info.Pack(RetryInfo(retry_delay=Duration(seconds=self.retry_after_s)))
        status = Status(code=self.code.value[0], message=self.message, details=[info])
        return ((STATUS_DETAILS, status.SerializeToString()),)


def failure_of(error: Exception, retry_after_s: int) -> Failure:
    """Return the status for an exception of an endpoint.

    OTLP exporters retry after UNAVAILABLE, and after RESOURCE_EXHAUSTED with ``RetryInfo``.
    """
    message = str(error)[:MESSAGE_CHARS_MAX].encode(errors="replace").decode()
    if isinstance(error, RequestError):
        code = _CODES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
        is_quota = error.status == _TOO_MANY_REQUESTS
        wait_s = getattr(error, "retry_after_s", retry_after_s) if is_quota else None
        return Failure(code, message, wait_s)
    if isinstance(error, OverloadedError | UndeliveredError):
        return Failure(grpc.StatusCode.UNAVAILABLE, message, retry_after_s)
    if isinstance(error, TimeoutError):
        return Failure(grpc.StatusCode.DEADLINE_EXCEEDED, str(BodyTimeoutError(BODY_LATE)))
    if isinstance(error, ClientGoneError):
        return Failure(grpc.StatusCode.CANCELLED, "the client cancelled the call")
    return Failure(grpc.StatusCode.INTERNAL, "Internal Server Error")
