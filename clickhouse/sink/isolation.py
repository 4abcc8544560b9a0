"""Insert batches, and isolate the rows that make an insert fail, so that the others are stored."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from clickhouse.errors import QueryLimitReached, QueryRejected, StoreError, StoreUnavailable
from clickhouse.feed import Feed
from clickhouse.sink import metrics
from clickhouse.sink.refusals import FAILED, REFUSED, Refused, lines_of
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store

log = structlog.get_logger(__name__)

DECODED_AT_A_TIME: Final = 500
STATEMENT_TRUSTED_S: Final = 1.0
"""Time for which a statement counts as valid after the store has accepted it."""
LIMIT_ATTEMPTS_FACTOR: Final = 2
"""Factor of the attempts for a row that exceeds a limit, because other statements may be using the
memory."""

Row = tuple[int, bytes]
"""Index of the line in the batch, and the line."""


class SharedLock:
    """A lock that is shared by inserts, and exclusive for an insert that may crash the store.

    Otherwise, rows of other tables would be inserted at the time of a crash and would seem to be
    its cause.
    """

    def __init__(self) -> None:
        self._exclusive = asyncio.Lock()
        self._running = 0
        self._none_running = asyncio.Event()
        self._none_running.set()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        async with self._exclusive:
            self._running += 1
            self._none_running.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._none_running.set()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        async with self._exclusive:
            await self._none_running.wait()
            yield


@dataclass(slots=True)
class Failures:
    """A counter of the failures of one insert that its rows may have caused."""

    attempts_max: int
    attempts: int = 0
    first_at_s: float = math.inf
    may_end_store: bool = False
    _factor: int = 1

    def count(self, error: QueryLimitReached | StoreUnavailable) -> None:
        """Count a failure, unless the store itself reports that it is unavailable."""
        is_limit = isinstance(error, QueryLimitReached)
        if is_limit or (isinstance(error, StoreUnavailable) and error.has_dropped):
            self.attempts += 1
            self.first_at_s = min(self.first_at_s, time.monotonic())
            self.may_end_store = not is_limit
            self._factor = LIMIT_ATTEMPTS_FACTOR if is_limit else 1

    @property
    def are_enough(self) -> bool:
        return self.attempts >= self.attempts_max * self._factor


class IsolatingInserts:
    """A client that inserts rows and retries without limit, except for rows that are refused.

    A row is refused in two cases: the store rejects it but accepts the statement without rows; or
    inserting it dropped the connection ``insert_attempts_max`` times, or exceeded a limit twice as
    often, while the store responded in between and accepted other rows. While the store is down,
    full or read-only, inserts wait.
    """

    def __init__(self, store: Store, settings: SinkSettings, feeds: Iterable[Feed]) -> None:
        self._store = store
        self._settings = settings
        self._row_of_table = {feed.table: feed.row for feed in feeds}
        self._columns = {
            table: tuple(row.__struct_fields__) for table, row in self._row_of_table.items()
        }
        self._lock = SharedLock()
        self._accepted_at_s = -math.inf
        self._statement_at_s: dict[str, float] = {}

    async def insert(self, table: str, values: Sequence[bytes]) -> list[Refused]:
        """Insert ``values`` (NDJSON); return the refused lines in order.

        Rows may be inserted more than once, because a repeated row replaces itself.
        """
        error = await self._insert(table, values, is_single=False, attempts_max=self._attempts_max)
        if error is None:
            return []
        rows = list(enumerate(lines_of(b"\n".join(values))))
        suspects = await self._undecodable(table, rows)
        numbers = {number for number, _ in suspects}
        rest = [row for row in rows if row[0] not in numbers]
        parts: list[list[Row]] = [*([row] for row in reversed(suspects))]
        parts.extend(reversed([rest] if suspects else _halves(rest)))
        refused: list[Refused] = []
        while parts:
            part = parts.pop()
            if not part:
                continue
            is_single = len(part) == 1
            attempts_max = self._attempts_max if is_single else 1
            lines = [line for _, line in part]
            error = await self._insert(table, lines, is_single=is_single, attempts_max=attempts_max)
            if error is None:
                continue
            if is_single:
                number, line = part[0]
                refused.append(Refused(number, line, str(error), _code_of(error)))
            else:
                parts.extend(reversed(_halves(part)))
        return sorted(refused, key=lambda row: row.number)

    @property
    def _attempts_max(self) -> int:
        return self._settings.insert_attempts_max

    async def _insert(
        self, table: str, values: Sequence[bytes], *, is_single: bool, attempts_max: int
    ) -> Exception | None:
        """Insert ``values``; return the error if the rows are its cause."""
        failures = Failures(attempts_max)
        backoff_s = self._settings.retry_backoff_s
        while True:
            error = await self._try(table, values, exclusive=failures.may_end_store)
            if error is None:
                return None
            if isinstance(error, QueryLimitReached | StoreUnavailable):
                if isinstance(error, QueryLimitReached) and not is_single:
                    return error
                failures.count(error)
            elif await self._accepts_statement(table):
                return error
            metrics.RETRIES.labels(table).inc()
            log.warning(
                "store_refuses_batch", table=table, error=str(error)[:300], retry_in_s=backoff_s
            )
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, self._settings.retry_backoff_max_s)
            if not failures.attempts:
                continue
            await self._until_responding(table)
            accepts_others = self._accepted_at_s > failures.first_at_s
            if failures.are_enough and (accepts_others or not is_single):
                metrics.LIMIT_REACHED.labels("insert_attempts_max").inc()
                return error

    async def _try(
        self, table: str, values: Sequence[bytes], *, exclusive: bool
    ) -> Exception | None:
        try:
            async with self._lock.exclusive() if exclusive else self._lock.shared():
                with metrics.INSERT_S.labels(table).time():
                    await self._store.insert_lines(table, self._columns[table], values)
        except Exception as error:  # noqa: BLE001  # the other rows are still inserted
            return error
        self._accepted_at_s = self._statement_at_s[table] = time.monotonic()
        return None

    async def _accepts_statement(self, table: str) -> bool:
        """Return whether the store accepts the statement without rows."""
        if time.monotonic() - self._statement_at_s.get(table, -math.inf) < STATEMENT_TRUSTED_S:
            return True
        try:
            await self._store.insert_lines(table, self._columns[table], b"")
        except StoreError:
            return False
        self._statement_at_s[table] = time.monotonic()
        return True

    async def _until_responding(self, table: str) -> None:
        backoff_s = self._settings.retry_backoff_s
        while True:
            try:
                return await self._store.ping()
            except (StoreUnavailable, QueryRejected) as error:
                metrics.RETRIES.labels(table).inc()
                log.warning("store_does_not_answer", error=str(error)[:300], retry_in_s=backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, self._settings.retry_backoff_max_s)

    async def _undecodable(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that cannot be decoded as rows of the table."""
        decode = msgspec.json.Decoder(self._row_of_table[table]).decode
        found = []
        for at, row in enumerate(rows):
            if at % DECODED_AT_A_TIME == 0:
                await asyncio.sleep(0)
            try:
                decode(row[1])
            except Exception:  # noqa: BLE001  # malformed, too deep, not UTF-8
                found.append(row)
        return found


def _halves(rows: Sequence[Row]) -> list[list[Row]]:
    middle = len(rows) // 2
    return [list(rows[:middle]), list(rows[middle:])] if middle else [list(rows)]


def _code_of(error: Exception) -> str:
    return FAILED if isinstance(error, QueryLimitReached | StoreUnavailable) else REFUSED
