"""Define the errors of the store.

StoreError
├── StoreUnavailable      unreachable, overloaded or interrupted; the same call may succeed later
├── QueryRejected         the store rejected the statement; the same call will fail again
│   └── QueryLimitReached a limit on time, rows, bytes or memory was reached
├── TooManyRefusals       most rows are rejected: the code or the schema is wrong, not the data
└── MigrationError        the schema does not match the migrations
    ├── MigrationEdited   an applied migration was changed
    └── PolicyMissing     the server has no storage policy of the configured name
"""

from __future__ import annotations


class StoreError(Exception):
    """Base class of the store's errors."""


class StoreUnavailable(StoreError):
    """The store is unreachable, overloaded or was interrupted; the same call may succeed later."""

    def __init__(self, message: str, *, has_dropped: bool = False) -> None:
        super().__init__(message)
        self.has_dropped = has_dropped
        """Whether the connection ended without a response, which the request may have caused."""


class QueryRejected(StoreError):
    """The store rejected the statement; the same call will fail again."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"code {code}: {message}")
        self.code = code
        self.message = message


class QueryLimitReached(QueryRejected):
    """A limit on time, rows, bytes or memory was reached."""


class TooManyRefusals(StoreError):
    """The store rejects most rows: the code or the schema is wrong, not the data."""


class MigrationError(StoreError):
    """The schema does not match the migrations."""


class MigrationEdited(MigrationError):
    """An applied migration was changed."""


class PolicyMissing(MigrationError):
    """The server has no storage policy of the configured name."""
