"""What can go wrong between us and the store.

StoreError
├── StoreUnavailable      not reached, not ready, overloaded or stopped mid-way: the same call may succeed later
├── QueryRejected         the store understood and refused: the same call will fail again (``code``, ``message``)
│   └── QueryLimitReached a limit on time, rows, bytes or memory was hit (``code``, ``message``)
├── TooManyRefusals       the store refuses row after row: the code or the schema is wrong, not the data
└── MigrationError        the schema is not what the migrations say
    ├── MigrationEdited   a migration that was applied has other contents now
    └── PolicyMissing     the server lacks the storage policy
"""

from __future__ import annotations


class StoreError(Exception):
    """The tree's root."""


class StoreUnavailable(StoreError):  # names say what is, as the tree above does
    """Not reached, not ready, overloaded or stopped mid-way: try again later."""

    def __init__(self, message: str, *, has_dropped: bool = False) -> None:
        super().__init__(message)
        self.has_dropped = has_dropped
        """Whether the connection ended without an answer: the request may be the cause."""


class QueryRejected(StoreError):
    """The store refused the statement; trying again changes nothing."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"code {code}: {message}")
        self.code = code
        self.message = message


class QueryLimitReached(QueryRejected):
    """A limit on time, rows, bytes or memory stopped the query; ask for less."""


class TooManyRefusals(StoreError):
    """The store refuses row after row: the code or the schema is wrong, not the data."""


class MigrationError(StoreError):
    """The schema is not what the migrations say."""


class MigrationEdited(MigrationError):
    """A migration that was applied has other contents now."""


class PolicyMissing(MigrationError):
    """The server has no storage policy of the configured name."""
