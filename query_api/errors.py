"""Everything that can go wrong in this context.

    QueryApiError
    ├── BadRequestError       the question is malformed; names the field and, where it helps, what is allowed
    ├── NotFoundError         no such thing in this project
    ├── ConflictError         it is there already, or there are too many
    ├── TooCostlyError        a bound of the settings was reached
    │   └── TooManyError      what was found is more than one answer may hold
    └── UnavailableError      a dependency does not answer; worth trying again

How each one looks on the wire is said in ``query_api.refusals``.
"""

from __future__ import annotations


class QueryApiError(Exception):
    """Base class of the query API's errors; the client gets the message."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequestError(QueryApiError):
    """A parameter or a field of a body is wrong; ``field`` is its path."""

    status = 400
    code = "invalid_request"

    def __init__(self, message: str, *, field: str = "", allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.allowed = allowed


class NotFoundError(QueryApiError):
    """Not in this project, which is all a client may know."""

    status = 404
    code = "not_found"


class ConflictError(QueryApiError):
    """The state of the project forbids it."""

    status = 409
    code = "conflict"


class TooCostlyError(QueryApiError):
    """The answer would read, weigh or take more than one question may."""

    status = 422
    code = "query_too_costly"


class TooManyError(TooCostlyError):
    """It was found in time, and is more than one answer may hold."""


class UnavailableError(QueryApiError):
    """The store or the control log does not answer."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
