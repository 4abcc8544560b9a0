"""Serve the engine over HTTP as an ASGI application.

For each request: 1. Authenticate the user. 2. Check the user's policy. 3. Wait for a slot; queries
and inserts have separate slots. 4. Acquire a connection with the session. 5. Run the statement in a
thread. 6. Respond. The head of the response is sent with the first chunk of the result, so that
most errors have a status. A later error is written into the body, as ClickHouse does
(``X-ClickHouse-Exception-Tag``). If the client disconnects, its query is killed.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from prometheus_client import generate_latest

from clickhouse.embedded.access import AccessDenied, Users, refuse_browsers
from clickhouse.embedded.engine import Engine, EngineError, Insert, Query
from clickhouse.embedded.exchange import (
    Body,
    ClientGone,
    Exchange,
    Receive,
    Scope,
    Send,
    send_plain,
    until_gone,
)
from clickhouse.embedded.metrics import StoreFrontMetrics, store_front_metrics
from clickhouse.embedded.request import (
    BadRequest,
    Call,
    Compressor,
    decompressor,
    form_fields,
    parse_call,
)
from clickhouse.embedded.rows_files import RowsFiles
from clickhouse.embedded.slots import Overloaded, Slots
from clickhouse.embedded.statement import (
    CONTENT_TYPES,
    FormattedInsert,
    first_word,
    formatted_insert,
    result_format,
)
from clickhouse.settings import EmbeddedStoreSettings

T = TypeVar("T")

# ClickHouse's error codes, and the HTTP statuses that its server returns for them.
_STATUS_OF_CODE = {
    **dict.fromkeys((36, 38, 41, 44, 46, 47, 53, 62, 72, 117, 386, 457), 400),
    **dict.fromkeys((60, 81, 115), 404),
    **dict.fromkeys((164, 497), 403),
    **dict.fromkeys((202, 203), 503),
    159: 408,
    516: 403,
}
_MEMORY_LIMIT_CODE = 241
_INSERT_TOO_LARGE = "The rows of this insert have too many bytes (setting insert_bytes_max)"
_OVERLOADED = "Too many simultaneous requests. (TOO_MANY_SIMULTANEOUS_QUERIES)"
_STREAMABLE = frozenset({"SELECT", "WITH"})
_WITH_RESULT = frozenset(
    {"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK", "KILL"}
)
_KEEPS_SESSION = frozenset({"SELECT", "WITH", "INSERT", "SHOW", "EXPLAIN", "DESCRIBE", "EXISTS"})


class StoreFront:
    """The ASGI application: ``/``, ``/ping``, ``/healthz``, ``/readyz`` and ``/metrics``."""

    def __init__(self, engine: Engine, settings: EmbeddedStoreSettings, users: Users) -> None:
        self._engine = engine
        self._settings = settings
        self._users = users
        self._queries = Slots(settings.queries_max, settings.waiting_max)
        self._inserts = Slots(settings.inserts_max, settings.waiting_max)
        self._rows_files = RowsFiles(settings.insert_kept_bytes_max, settings.insert_chunk_bytes)
        self._threads = ThreadPoolExecutor(
            settings.queries_max + settings.inserts_max + 1, thread_name_prefix="store"
        )
        self.metrics: StoreFrontMetrics = store_front_metrics()

    def close(self) -> None:
        """Wait for running statements and close the engine."""
        self._threads.shutdown()
        self._rows_files.close()
        self._engine.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path in {"/ping", "/healthz", "/readyz"}:
            await send_plain(send, 200, b"Ok.\n", {})
        elif path == "/metrics":
            await send_plain(send, 200, generate_latest(self.metrics.registry), {})
        elif path == "/" and scope["method"] in {"GET", "POST"}:
            await self._handle(scope, receive, send)
        else:
            await send_plain(send, 404, b"Not found.\n", {})

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange, body = Exchange(send, str(uuid.uuid4())), Body(receive)
        kind, outcome = "query", "error"
        started = time.perf_counter()
        try:
            call = parse_call(
                scope["method"], scope["query_string"], scope["headers"], exchange.query_id
            )
            exchange.query_id = call.query_id
            refuse_browsers(scope["headers"])
            user = self._users.authenticate(call.user, call.password)
            call = replace(call, session=user.session(call, self._settings.execution_time_max_s))
            body.decompressor = decompressor(call.content_encoding)
            call, insert = await self._statement(call, body)
            user.check(call.query, insert)
            kind = "insert" if insert else "query"
            slots = self._inserts if insert else self._queries
            async with slots.slot():
                with self.metrics.running.labels(kind).track_inprogress():
                    if insert:
                        await self._insert(call, insert, body, exchange)
                    else:
                        await self._query(call, receive, exchange)
            outcome = "ok"
        except AccessDenied as error:
            # The body of an unauthenticated request is not read.
            outcome = "denied"
            await exchange.fail(error.status, error.code, _message(error), close=True)
        except BadRequest as error:
            await _refuse(exchange, body, error)
        except Overloaded:
            outcome = "overloaded"
            self.metrics.limits_reached.labels(f"{kind}_slots").inc()
            await _refuse(exchange, body, BadRequest(503, 202, _OVERLOADED))
        except EngineError as error:
            await _refuse(exchange, body, error)
        except ClientGone:
            outcome = "client_gone"
        finally:
            self.metrics.statements.labels(kind, outcome).inc()
            self.metrics.seconds.labels(kind).observe(time.perf_counter() - started)

    async def _statement(self, call: Call, body: Body) -> tuple[Call, FormattedInsert | None]:
        """Read the statement; the rows of a formatted insert remain in the body."""
        if call.content_type.startswith("multipart/form-data"):
            raw = await body.read(self._settings.query_bytes_max)
            return _with_form(call, form_fields(call.content_type, raw)), None
        sql = call.query
        if not sql:
            sql = await body.next_piece()
        insert = formatted_insert(sql)
        if insert is None:
            rest = await body.read(self._settings.query_bytes_max - len(sql))
            sql = _joined(sql, rest) if call.query else sql + rest
            # The first chunk may have ended before the FORMAT clause.
            insert = formatted_insert(sql)
        if not sql.strip():
            raise BadRequest(400, 62, "Empty query. (SYNTAX_ERROR)")
        return replace(call, query=sql), insert

    async def _insert(
        self, call: Call, parts: FormattedInsert, body: Body, exchange: Exchange
    ) -> None:
        insert = Insert(self._engine, parts, self._rows_files)
        began = time.perf_counter()
        try:
            gathered, size, total = [parts.data], len(parts.data), len(parts.data)
            while True:
                piece = await body.next_piece()
                gathered.append(piece)
                size += len(piece)
                total += len(piece)
                if total > self._settings.insert_bytes_max:
                    self.metrics.limits_reached.labels("insert_bytes_max").inc()
                    raise BadRequest(413, _MEMORY_LIMIT_CODE, _INSERT_TOO_LARGE)
                is_last = body.is_finished
                if size >= self._settings.insert_chunk_bytes or (is_last and size):
                    self.metrics.bytes_received.inc(size)
                    await self._to_the_end(insert.append, b"".join(gathered))
                    gathered, size = [], 0
                if is_last:
                    break
            await self._to_the_end(insert.finish, call.session)
        finally:
            insert.close()
        self.metrics.rows_written.inc(insert.progress.written_rows)
        await exchange.begin({}, insert.progress, time.perf_counter() - began, is_complete=True)
        await exchange.finish()

    async def _query(self, call: Call, receive: Receive, exchange: Exchange) -> None:
        word = first_word(call.query)
        format_name, is_streamable = result_format(call.query, call.default_format)
        mark = f"/* {uuid.uuid4()} */ "
        query = Query(
            self._engine,
            mark.encode() + call.query,
            call.default_format,
            streamed=word in _STREAMABLE and is_streamable,
            reusable=word in _KEEPS_SESSION,
        )
        began = time.perf_counter()
        watcher = asyncio.create_task(until_gone(receive))
        try:
            pieces = await self._unless_gone(watcher, mark, query.start, call.session, call.params)
            if not query.is_finished:
                pieces = await self._unless_gone(watcher, mark, self._read, query)
            headers = {"content-type": CONTENT_TYPES.get(format_name, "application/octet-stream")}
            if word in _WITH_RESULT:
                headers["x-clickhouse-format"] = format_name
            compressor = Compressor(call.accepted_encodings)
            if not pieces or not any(pieces):
                # An empty body is not compressed, because clients read it as a result without
                # blocks.
                compressor = Compressor(frozenset())
            if compressor.encoding:
                headers["content-encoding"] = compressor.encoding
            await exchange.begin(
                headers, query.progress, time.perf_counter() - began,
                is_complete=query.is_finished, compressor=compressor,
            )  # fmt: skip
            await exchange.send(b"".join(pieces))
            while not query.is_finished:
                pieces = await self._unless_gone(watcher, mark, self._read, query)
                await exchange.send(b"".join(pieces))
            await exchange.finish()
        except BaseException:
            await asyncio.shield(self._in_thread(query.abandon))
            raise
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    def _read(self, query: Query) -> list[bytes]:
        return query.read(self._settings.result_chunk_bytes)

    async def _unless_gone(
        self, watcher: asyncio.Task[None], mark: str, call: Callable[..., T], *args: object
    ) -> T:
        """Return the result of the call; kill the statement if the client disconnects.

        Raises:
            ClientGone: the client disconnected.
        """
        work = asyncio.ensure_future(self._in_thread(call, *args))
        try:
            await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._kill(mark, work)
            raise
        if work.done():
            return work.result()
        await self._kill(mark, work)
        raise ClientGone

    async def _kill(self, mark: str, work: asyncio.Future[Any]) -> None:
        """Kill the statement repeatedly until the call returns, as it may not have started yet."""
        while not work.done():
            await asyncio.get_running_loop().run_in_executor(None, self._engine.kill, mark)
            await asyncio.wait({work}, timeout=0.05)
        with suppress(EngineError):
            work.result()

    async def _to_the_end(self, call: Callable[..., T], *args: object) -> T:
        """Run a call in a thread and wait for its end, even if cancelled.

        Without this, another thread could use the same connection.
        """
        work = asyncio.ensure_future(self._in_thread(call, *args))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            raise

    async def _in_thread(self, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)


async def _refuse(exchange: Exchange, body: Body, error: BadRequest | EngineError) -> None:
    """Respond with an error after reading the rest of the body.

    A client that is still sending would otherwise see a broken connection, not the response.
    """
    with suppress(ClientGone):
        await body.discard()
        if isinstance(error, BadRequest):
            await exchange.fail(error.status, error.code, _message(error))
        else:
            await exchange.fail(_STATUS_OF_CODE.get(error.code, 500), error.code, str(error))


def _message(error: BadRequest) -> str:
    return f"Code: {error.code}. DB::Exception: {error}"


def _with_form(call: Call, fields: dict[str, str]) -> Call:
    query = fields.pop("query", "").encode()
    params = {name[6:]: value for name, value in fields.items() if name.startswith("param_")}
    return replace(call, query=_joined(call.query, query), params={**call.params, **params})


def _joined(head: bytes, rest: bytes) -> bytes:
    return head + b"\n" + rest if head and rest else head or rest
