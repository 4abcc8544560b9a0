"""Run queries on the store within limits, and decode the rows to structs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
import structlog

from clickhouse.errors import QueryLimitReached, StoreError, StoreUnavailable
from clickhouse.store import Store
from query_api import metrics
from query_api.errors import QueryApiError, TooCostlyError, UnavailableError
from query_api.settings import QuerySettings
from query_api.store.sql import StoreQuery

Row = TypeVar("Row")
Result = TypeVar("Result")

_FORMAT: Final = "JSONEachRow"
_TIME_EXCEEDED: Final = frozenset({159, 160})
_ROWS_EXCEEDED: Final = 158
_BYTES_EXCEEDED: Final = 307
_RESULT_EXCEEDED: Final = 396
"""Error codes of ClickHouse; a reached limit with another code is a limit of memory."""

log = structlog.get_logger(__name__)


class Statistics(msgspec.Struct):
    """What the store read for a query."""

    rows_read: int = 0
    bytes_read: int = 0


class Measured(msgspec.Struct):
    """The rows of a query, and what the store read for them."""

    data: list[dict[str, Any]]
    statistics: Statistics


class Reader:
    """Run queries with limited resources and limited concurrency."""

    def __init__(self, store: Store, settings: QuerySettings) -> None:
        self._store = store
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.concurrent_queries_max)
        self._bounds = _bounds(settings)
        self._response_max_s = settings.execution_time_max_s + settings.answer_grace_s
        self._decoders: dict[type, msgspec.json.Decoder[object]] = {}

    async def rows(self, query: StoreQuery, row_type: type[Row]) -> list[Row]:
        """Return the rows as ``row_type``; columns without a field are ignored.

        Raises:
            TooCostlyError: A limit was reached.
            UnavailableError: The store does not respond, or too many queries are waiting.
        """
        text, params = query.sql()
        blocks = self._of_query(query)
        body = await self.bounded(
            query.name,
            lambda bounds: self._store.query_bytes(f"{text}\n{bounds}{blocks}", params, _FORMAT),
        )
        return self._decoder(row_type).decode_lines(body)

    async def measured(self, query: StoreQuery) -> Measured:
        """Return the rows as dictionaries, with the amount that was read; raise like ``rows``.

        Decimals are strings.
        """
        text, params = query.sql()
        ending = f", output_format_json_quote_decimals = 1{self._of_query(query)}"
        body = await self.bounded(
            query.name,
            lambda bounds: self._store.query_bytes(f"{text}\n{bounds}{ending}", params, "JSON"),
        )
        return self._decoder(Measured).decode(body)

    async def bounded(self, name: str, run: Callable[[str], Awaitable[Result]]) -> Result:
        """Call ``run`` with a ``SETTINGS`` clause that limits its statement.

        Raises:
            TooCostlyError, UnavailableError: like ``rows``.
        """
        started_s = time.perf_counter()
        outcome = "ok"
        try:
            async with self._slot(), asyncio.timeout(self._response_max_s):
                return await run(self._bounds)
        except TimeoutError as error:
            # The store itself cancels long statements, so either the store or the network hangs.
            outcome = "unavailable"
            metrics.LIMITS_REACHED.labels("answer_grace_s").inc()
            raise UnavailableError(
                f"the store did not answer within {self._response_max_s:g} s",
                retry_after_s=self._settings.retry_after_s,
            ) from error
        except QueryLimitReached as error:
            outcome = "limit"
            metrics.LIMITS_REACHED.labels(_limit_reached(error)).inc()
            # Do not show the store's message: its amounts include the usage of other projects.
            setting = _limit_reached(error)
            allowed = f"{setting}: {getattr(self._settings, setting)}"
            raise TooCostlyError(
                f"the query exceeds a limit ({allowed}); reduce its range or add filters"
            ) from error
        except StoreUnavailable as error:
            outcome = "unavailable"
            raise UnavailableError(
                "the store does not answer", retry_after_s=self._settings.retry_after_s
            ) from error
        except StoreError as error:
            outcome = "refused"
            log.error("query_refused", query=name, error=str(error))  # noqa: TRY400
            raise QueryApiError("the store refused the query") from error
        finally:
            elapsed_s = time.perf_counter() - started_s
            metrics.QUERY_SECONDS.labels(name, outcome).observe(elapsed_s)

    async def row(self, query: StoreQuery, row_type: type[Row]) -> Row | None:
        """Return the first row, or None; raise like ``rows``."""
        rows = await self.rows(query, row_type)
        return rows[0] if rows else None

    def _of_query(self, query: StoreQuery) -> str:
        """Return the settings that depend on the query, each after a comma."""
        found = _blocks(query.block_rows())
        if query.threads_max:
            found += f", max_threads = {query.threads_max}"
        if query.is_long():
            threads = max(self._settings.final_threads_max, self._settings.final_threads_long_max)
            found += f", max_final_threads = {threads}"
        return found

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.queue_wait_max_s):
                await self._slots.acquire()
        except TimeoutError as error:
            metrics.LIMITS_REACHED.labels("concurrent_queries_max").inc()
            raise UnavailableError(
                "too many queries at the same time", retry_after_s=self._settings.retry_after_s
            ) from error
        metrics.QUERIES_RUNNING.inc()
        try:
            yield
        finally:
            metrics.QUERIES_RUNNING.dec()
            self._slots.release()

    def _decoder(self, row_type: type[Row]) -> msgspec.json.Decoder[Row]:
        decoder = self._decoders.get(row_type)
        if decoder is None:
            decoder = self._decoders[row_type] = msgspec.json.Decoder(row_type)
        return decoder  # type: ignore[return-value]  # the key is the decoder's type


def _bounds(settings: QuerySettings) -> str:
    values: dict[str, int] = {
        "readonly": 2,
        "max_execution_time": settings.execution_time_max_s,
        "max_rows_to_read": settings.rows_to_read_max,
        "max_bytes_to_read": settings.bytes_to_read_max,
        "max_memory_usage": settings.memory_max_bytes,
        "max_final_threads": settings.final_threads_max,
        "max_result_rows": settings.result_rows_max,
        "max_result_bytes": settings.result_bytes_max,
        "do_not_merge_across_partitions_select_final": 1,
        "optimize_move_to_prewhere_if_final": 1,
        "output_format_json_quote_64bit_integers": 0,
        "output_format_json_validate_utf8": 1,
    }
    return "SETTINGS " + ", ".join(f"{name} = {value}" for name, value in values.items())


def _blocks(rows_max: int) -> str:
    """Return the settings that process ``rows_max`` rows at a time; 0: the default.

    By default, the store reads up to 163,840 rows with one thread, whatever their size.
    """
    if not rows_max:
        return ""
    return (
        f", max_block_size = {rows_max}, merge_tree_min_read_task_size = 1"
        f", merge_tree_min_rows_for_concurrent_read = {rows_max // 2}"
        ", merge_tree_min_bytes_for_concurrent_read = 1"
    )


def _limit_reached(error: QueryLimitReached) -> str:
    """Return the name of the setting whose limit was reached."""
    if error.code in _TIME_EXCEEDED:
        return "execution_time_max_s"
    if error.code == _ROWS_EXCEEDED:
        return "rows_to_read_max"
    if error.code == _BYTES_EXCEEDED:
        return "bytes_to_read_max"
    if error.code == _RESULT_EXCEEDED:
        return "result_bytes_max" if "max bytes" in error.message else "result_rows_max"
    return "memory_max_bytes"
