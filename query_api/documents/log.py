"""Define what reading and changing documents needs of their log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from producers.documents.record import DocumentRecord
from producers.documents.tail import DocumentTail
from producers.errors import ControlUnavailableError


class DocumentLog(Protocol):
    """An interface to the log; ``producers.documents.log.DocumentLog`` implements it."""

    @property
    def tail(self) -> DocumentTail:
        """Return the records that the store may not have."""

    async def caught_up(self) -> bool:
        """Wait until the tail has all records that were acknowledged before the call."""

    async def append(self, records: Sequence[DocumentRecord]) -> list[bool]:
        """Write records; return for each whether it took effect.

        Raises:
            TooLargeError, ControlUnavailableError: like ``producers.documents.log.DocumentLog``.
        """


class _NoDocuments:
    tail: Final = DocumentTail()

    async def caught_up(self) -> bool:
        return True

    async def append(self, records: Sequence[DocumentRecord]) -> list[bool]:  # noqa: ARG002
        raise ControlUnavailableError("this process does not keep documents")


NO_DOCUMENTS: Final = _NoDocuments()
"""There are no documents but those of the store, and none can be written."""
