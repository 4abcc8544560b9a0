"""Define the errors of the query API.

    QueryApiError
    ├── BadRequestError       the request is invalid; the message names the field
    ├── NotFoundError         the project has no such object
    ├── ConflictError         the object already exists, or there are too many
    ├── TooCostlyError        the query would exceed a limit of the settings
    │   └── TooManyError      the result is larger than a response may be
    └── UnavailableError      a dependency does not respond; the client may retry

``query_api.error_responses`` converts them to HTTP responses.
"""

from __future__ import annotations


class QueryApiError(Exception):
    """Base class of the query API's errors. The message is shown to the client."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequestError(QueryApiError):
    """A parameter or a field of the body is invalid; ``field`` is its path."""

    status = 400
    code = "invalid_request"

    def __init__(self, message: str, *, field: str = "", allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.allowed = allowed


class NotFoundError(QueryApiError):
    """The project has no such object; whether another project has it is not revealed."""

    status = 404
    code = "not_found"


class ConflictError(QueryApiError):
    """The request conflicts with the project's current records."""

    status = 409
    code = "conflict"


class TooCostlyError(QueryApiError):
    """The query would exceed a limit of time, rows, bytes or memory."""

    status = 422
    code = "query_too_costly"


class TooManyError(TooCostlyError):
    """The result is larger than a response may be."""


class UnavailableError(QueryApiError):
    """The store or the control log does not respond."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
