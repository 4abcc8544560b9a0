"""Read groups of cells back from the store, and find the deltas whose groups cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka.errors import KafkaError

from clickhouse.errors import QueryLimitReached, QueryRejected, StoreError
from clickhouse.rows import SpendRow, WindowRow
from streams.core.rollups.deltas import Delta
from streams.core.rollups.fold import NONE_UNREADABLE, Missing, ProjectFold
from streams.rollups.reader import ProjectReader


class ReadBack:
    """A reader of stored groups; only deltas whose groups cannot be read fail."""

    def __init__(self, reader: ProjectReader) -> None:
        self._reader = reader
        self.is_querying = False
        """Whether a query to the store is running."""

    async def is_readable(self, fold: ProjectFold, deltas: Sequence[Delta]) -> bool:
        """Read back the groups of deltas; return whether it succeeded.

        Returns False if the store refuses a query or a result cannot be decoded.

        Raises:
            StoreError, KafkaError, OSError: the store fails whatever is queried.
        """
        try:
            # Repeat until nothing is missing, because groups may be evicted during a query.
            while missing := fold.missing(deltas):
                fold.load(missing, *await self._query(missing))
        except Exception as error:
            if not await self._is_about_content(error):
                raise
            return False
        return True

    async def unreadable(
        self, fold: ProjectFold, deltas: Sequence[Delta]
    ) -> Mapping[int, Exception]:
        """Read back the groups of each delta. Raises like ``is_readable``.

        Returns:
            The errors of deltas whose groups cannot be read, by index. All other groups are loaded.
        """
        if await self.is_readable(fold, deltas):
            return NONE_UNREADABLE
        unreadable: dict[int, Exception] = {}
        while True:
            good = [(index, delta) for index, delta in enumerate(deltas) if index not in unreadable]
            if await self.is_readable(fold, [delta for _, delta in good]):
                return unreadable
            for index, delta in good:
                error = await self._fault(fold, delta)
                if error is not None:
                    unreadable[index] = error

    async def _fault(self, fold: ProjectFold, delta: Delta) -> Exception | None:
        """Read back the groups of one delta; return the error if it concerns only this delta."""
        try:
            while missing := fold.missing([delta]):
                fold.load(missing, *await self._query(missing))
        except Exception as error:
            if not await self._is_about_content(error):
                raise
            return error
        return None

    async def _query(self, missing: Missing) -> tuple[list[WindowRow], list[SpendRow]]:
        self.is_querying = True
        try:
            return await self._reader.read_back(missing)
        finally:
            self.is_querying = False

    async def _is_about_content(self, error: Exception) -> bool:
        """Return whether the query or its result caused the error, rather than an outage."""
        if isinstance(error, QueryRejected) and not isinstance(error, QueryLimitReached):
            await self._reader.latest()  # raises if the store refuses everything
            return True
        return not isinstance(error, StoreError | KafkaError | OSError)
