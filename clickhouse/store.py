"""Query ClickHouse and insert rows, with bound parameters and classified errors.

The embedded store and ClickHouse servers are used alike, through ClickHouse's HTTP interface.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from clickhouse_connect import get_async_client
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.exceptions import ClickHouseError, ProgrammingError

from clickhouse.errors import QueryLimitReached, QueryRejected, StoreError, StoreUnavailable
from clickhouse.settings import StoreSettings

# These are set on every insert, because the defaults changed between releases. Inserts may be
# repeated, because a row replaces earlier versions of itself. Merges and FINAL remove duplicates
# within an insert, at half the cost of removing them before the part is written. A batch may
# contain late rows of any number of days.
INSERT_SETTINGS: Final[dict[str, str]] = {
    "async_insert": "0",
    "insert_deduplicate": "0",
    "optimize_on_insert": "0",
    "max_partitions_per_insert_block": "0",
    "input_format_parallel_parsing": "0",
    "input_format_skip_unknown_fields": "0",
    "max_insert_threads": "1",
    "materialize_statistics_on_insert": "0",
}

# ClickHouse's error codes, in this order: too many queries, no free connection, socket timeout,
# network error, aborted, read-only table, not enough space, too many parts, too few live replicas,
# unknown status of an insert, query cancelled, system error, keeper error.
_UNAVAILABLE_CODES: Final = frozenset(
    {202, 203, 209, 210, 236, 242, 243, 252, 285, 319, 394, 425, 999}
)
# Failures to read, write, open, close, seek or truncate files and to create directories. The disk
# is their cause, not the rows.
_DISK_CODES: Final = frozenset({74, 75, 76, 77, 87, 88, 481})
_STD_EXCEPTION: Final = 1001
"""Error code of exceptions of the C++ standard library, including file system errors."""
_NO_SPACE: Final = "No space left on device"
PING_MAX_S: Final = 5.0
"""Time limit of a ping."""
RESPONSE_GRACE_S: Final = 2.0
"""Time that the client waits after a query's time limit, because a hung store does not apply the
limit itself."""
# Limits on, in this order: rows, time, speed, columns, size of sets, memory, any other resource,
# bytes, and size of results.
_TIMEOUT_CODE: Final = 159
_LIMIT_CODES: Final = frozenset({158, _TIMEOUT_CODE, 160, 161, 191, 241, 290, 307, 396})


class Store:
    """A client that connects on first use; tasks of one event loop may share it."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.database = settings.clickhouse_database
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def query(
        self, sql: str, params: Mapping[str, Any] | None = None, *, use_database: bool = True
    ) -> list[dict[str, Any]]:
        """Return rows by column name; times are aware (UTC), money is ``Decimal``.

        ``sql`` contains parameters as ``{name:Type}``, which the server binds.

        Raises:
            StoreUnavailable: the query may succeed later.
            QueryLimitReached, QueryRejected: the query would fail again.
        """
        async with self._connected(self._response_max_s) as client:
            result = await client.query(
                sql,
                parameters=_bindable(sql, params),
                settings=self._query_settings(use_database=use_database),
            )
            return list(result.named_results())

    async def query_bytes(
        self, sql: str, params: Mapping[str, Any] | None = None, fmt: str = "JSONEachRow"
    ) -> bytes:
        """Return the result in one of ClickHouse's formats. Raises like ``query``."""
        async with self._connected(self._response_max_s) as client:
            return await client.raw_query(
                sql,
                parameters=_bindable(sql, params),
                settings=self._query_settings(use_database=True),
                fmt=fmt,
            )

    async def insert_lines(
        self, table: str, columns: Sequence[str], body: bytes | Sequence[bytes]
    ) -> None:
        """Insert NDJSON, which may be split into parts; return when the rows can be read.

        Raises:
            StoreUnavailable: any part of the rows may be stored; insert the same bytes again.
            QueryLimitReached: any part of the rows may be stored; insert fewer rows at a time.
            QueryRejected: a row or the table is invalid.
        """
        parts = (body,) if isinstance(body, bytes) else body
        names = ", ".join(map(quote_identifier, columns))
        statement = f"INSERT INTO {self.database}.{table} ({names}) FORMAT JSONEachRow"
        # The statement is included here, so that the client does not copy the rows to prepend it.
        block = b"\n".join((statement.encode(), *parts))
        async with self._connected() as client:
            try:
                async with asyncio.timeout(self.settings.clickhouse_insert_timeout_s):
                    await client.raw_insert(insert_block=block, settings=INSERT_SETTINGS)
            except TimeoutError:
                limit_s = self.settings.clickhouse_insert_timeout_s
                message = f"an insert took longer than {limit_s} s"
                raise QueryLimitReached(_TIMEOUT_CODE, message) from None

    async def command(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        use_database: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Run a statement without a result, for instance DDL. Raises like ``query``."""
        async with self._connected() as client:
            await client.command(
                sql,
                parameters=_bindable(sql, params),
                settings={**self._database_setting(use_database=use_database), **(settings or {})},
            )

    async def ping(self) -> None:
        """Check that the store accepts queries.

        Raises:
            StoreUnavailable: the store does not accept queries.
        """
        async with self._connected(PING_MAX_S) as client:
            await client.raw_query("SELECT 1", settings={"max_execution_time": f"{PING_MAX_S:g}"})

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @property
    def _response_max_s(self) -> float:
        return self.settings.clickhouse_query_timeout_s + RESPONSE_GRACE_S

    def _query_settings(self, *, use_database: bool) -> dict[str, str]:
        limit_s = self.settings.clickhouse_query_timeout_s
        return {
            "max_execution_time": f"{limit_s:g}",
            **self._database_setting(use_database=use_database),
        }

    def _database_setting(self, *, use_database: bool) -> dict[str, str]:
        # The client has no default database, because it is used before the first migration
        # creates the database.
        return {"database": self.database} if use_database else {}

    @asynccontextmanager
    async def _connected(self, within_s: float | None = None) -> AsyncIterator[AsyncClient]:
        """Yield the connected client; ``within_s`` limits connecting and the block together."""
        try:
            async with asyncio.timeout(within_s):
                if self._client is None:
                    async with self._connecting:
                        self._client = self._client or await self._connect()
                yield self._client
        except StoreError:
            raise
        except ClickHouseError as error:
            raise self._unreached(error.__cause__) or _store_error(error) from error
        except (OSError, TimeoutError) as error:
            message = str(error) or type(error).__name__
            raise StoreUnavailable(message, has_dropped=True) from error

    def _unreached(self, cause: BaseException | None) -> StoreUnavailable | None:
        """Describe a failed connection; the client's own message wrongly mentions certificates."""
        found = getattr(cause, "os_error", None)  # of aiohttp's connector
        if not isinstance(found, OSError) or isinstance(found, ssl.SSLError):
            return None
        url = urlsplit(self.settings.clickhouse_url)
        address = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        reason = f": {found.strerror}" if isinstance(found, socket.gaierror) else ""
        return StoreUnavailable(f"cannot connect to {address} (TRACEMILL_CLICKHOUSE_URL){reason}")

    async def _connect(self) -> AsyncClient:
        settings = self.settings
        url = urlsplit(settings.clickhouse_url)
        longest_s = max(settings.clickhouse_query_timeout_s, settings.clickhouse_insert_timeout_s)
        return await get_async_client(
            host=url.hostname or "127.0.0.1",
            port=url.port or (8443 if url.scheme == "https" else 8123),
            secure=url.scheme == "https",
            username=settings.clickhouse_user,
            password=settings.clickhouse_password.get_secret_value(),
            compress=False,
            tz_mode="aware",
            connect_timeout=settings.clickhouse_connect_timeout_s,
            send_receive_timeout=longest_s + settings.clickhouse_connect_timeout_s,
            connector_limit=settings.clickhouse_connections_max,
            connector_limit_per_host=settings.clickhouse_connections_max,
            client_name="tracemill",
        )


def _bindable(sql: str, params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the parameters for the server to bind; the client's own formatting is not used."""
    if not params:
        return None
    missing = [name for name in params if f"{{{name}:" not in sql]
    if missing:
        raise QueryRejected(36, f"the statement has no parameter {', '.join(missing)}")
    return dict(params)


def _store_error(error: ClickHouseError) -> StoreError:
    code = getattr(error, "code", None)
    message = str(error)
    if code is None:
        if isinstance(error, ProgrammingError):
            return QueryRejected(0, message)
        return StoreUnavailable(message, has_dropped=error.__cause__ is not None)
    is_full = code == _STD_EXCEPTION and _NO_SPACE in message
    if code in _UNAVAILABLE_CODES or code in _DISK_CODES or is_full:
        return StoreUnavailable(message)
    if code in _LIMIT_CODES:
        return QueryLimitReached(code, message)
    return QueryRejected(code, message)
