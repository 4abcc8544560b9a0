"""Run statements on the in-process engine (chDB), through a pool of connections."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chdb import _chdb

from clickhouse.embedded.rows_files import RowsFile, RowsFiles
from clickhouse.embedded.statement import FormattedInsert
from clickhouse.errors import StoreError

# chDB's Python wrapper is not used, because it serializes calls and parses progress options.
_connect: Any = _chdb.connect  # type: ignore[attr-defined]  # a compiled module without stubs

_NOT_IN_PATHS = frozenset("?%&\\")
_CODE = re.compile(r"Code: (\d+)")
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class EngineError(Exception):
    """A statement failed; the error has the engine's message and ClickHouse's error code."""

    def __init__(self, message: str) -> None:
        start = message.find("Code: ")
        super().__init__(message[start:] if start > 0 else message)
        code = _CODE.search(message)
        self.code = int(code.group(1)) if code else 1002


def engine_address(data_dir: Path, config_file: Path) -> str:
    """Return the connection string for a directory and its configuration.

    Raises:
        StoreError: the path contains a character that is special in a connection string.
    """
    found = sorted(_NOT_IN_PATHS & set(str(data_dir)))
    if found:
        raise StoreError(
            f"the embedded store cannot use the directory {data_dir}: "
            f"the path contains {found[0]!r}"
        )
    return f"{data_dir / 'data'}?config-file={config_file}"


@dataclass(frozen=True, slots=True)
class Session:
    """The database, the settings and the role of a statement."""

    database: str = "default"
    settings: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    """Role in the engine's users file; empty: all roles."""


@dataclass(slots=True)
class Progress:
    """Rows and bytes that a statement read, returned and wrote, as reported by the engine."""

    read_rows: int = 0
    read_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0


class _Connection:
    """A chDB connection and its current session."""

    def __init__(self, raw: Any, defaults: Mapping[str, str]) -> None:
        self.raw = raw
        self._defaults = defaults
        self.database = "default"
        self.settings: dict[str, str] = {}
        self.role = ""

    def switch_to(self, session: Session) -> None:
        """Switch to a session; change only the values that differ."""
        if session.role != self.role:
            self.raw.query(f"SET ROLE {session.role or 'ALL'}", "TSV")
            self.role = session.role
        wanted = {**self._defaults, **session.settings}
        if wanted != self.settings:
            dropped = [f"{name} = DEFAULT" for name in self.settings if name not in wanted]
            changed = [
                f"{_setting_name(name)} = {_quoted(value)}"
                for name, value in wanted.items()
                if self.settings.get(name) != value
            ]
            self.raw.query("SET " + ", ".join(dropped + changed), "TSV")
            self.settings = wanted
        if session.database != self.database:
            name = session.database.replace("\\", "\\\\").replace("`", "\\`")
            self.raw.query(f"USE `{name}`", "TSV")
            self.database = session.database

    @property
    def is_locked(self) -> bool:
        """Return whether the session is read-only; the engine does not allow to undo this."""
        return self.settings.get("readonly", "0") != "0"


class Engine:
    """A pool of connections to one data directory; methods block and are thread-safe."""

    def __init__(
        self, data_dir: Path, config_file: Path, defaults: Mapping[str, str], idle_max: int
    ) -> None:
        self._address = engine_address(data_dir, config_file)
        self._defaults = defaults
        self._idle_max = idle_max
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._killing = threading.Lock()
        # One connection always remains open, because the engine stops with the last one.
        self._anchor = _connect(self._address)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.raw.close()
        self._anchor.close()

    def acquire(self, session: Session) -> _Connection:
        """Return a connection with this session, preferably one that already has it."""
        connection = self._take_idle(session)
        if connection is None:
            connection = _Connection(_connect(self._address), self._defaults)
        try:
            connection.switch_to(session)
        except RuntimeError as error:
            connection.raw.close()
            raise EngineError(str(error)) from None
        return connection

    def release(self, connection: _Connection) -> None:
        """Return a connection to the pool, after a successful statement."""
        with self._lock:
            if len(self._idle) < self._idle_max:
                self._idle.append(connection)
                return
        connection.raw.close()

    def discard(self, connection: _Connection) -> None:
        """Close a connection whose output buffer or session has an unknown state."""
        connection.raw.close()

    def command(self, sql: str) -> None:
        """Run an administrative statement.

        Raises:
            EngineError: the statement failed.
        """
        with self._killing, engine_errors():
            self._anchor.query(sql, "TSV")

    def rows(self, sql: str) -> list[Any]:
        """Return the rows of an internal query, whose format must be JSONCompactEachRow."""
        lines: bytes = self._anchor.query(sql, "JSONCompactEachRow").bytes()
        return [json.loads(line) for line in lines.splitlines()]

    def kill(self, prefix: str) -> None:
        """Cancel the running statement that starts with ``prefix``; do not wait for its end."""
        with self._killing:
            self._anchor.query(
                "KILL QUERY WHERE startsWith(query, {prefix:String}) ASYNC",
                "TSV",
                params={"prefix": prefix},
            )

    def _take_idle(self, session: Session) -> _Connection | None:
        wanted = {**self._defaults, **session.settings}
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                candidate = self._idle[index]
                if (
                    candidate.role == session.role
                    and candidate.settings == wanted
                    and candidate.database == session.database
                ):
                    return self._idle.pop(index)
            for index in range(len(self._idle) - 1, -1, -1):
                candidate = self._idle[index]
                if candidate.role == session.role and not candidate.is_locked:
                    return self._idle.pop(index)
        return None


@contextmanager
def engine_errors() -> Iterator[None]:
    """Convert chDB's RuntimeError, which contains ClickHouse's message, to ``EngineError``."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(str(error)) from None
    except UnicodeDecodeError as error:
        # ClickHouse quotes rejected data, which may contain any bytes.
        raise EngineError(error.object.decode("utf-8", "replace")) from None


class Query:
    """A statement with a result; methods block, and only one thread may call them at a time."""

    def __init__(
        self, engine: Engine, sql: bytes, default_format: str, *, streamed: bool, reusable: bool
    ) -> None:
        self._engine = engine
        self._sql = sql
        self._format = default_format
        self._streamed = streamed
        self._reusable = reusable
        self._connection: _Connection | None = None
        self._stream: Any = None
        self.progress = Progress()
        self.is_finished = False

    def start(self, session: Session, params: Mapping[str, str]) -> list[bytes]:
        """Start the statement; return the whole result if it is not streamed."""
        self._connection = self._engine.acquire(session)
        try:
            with engine_errors():
                raw = self._connection.raw
                if self._streamed:
                    self._stream = raw.send_query(self._sql, self._format, params=dict(params))
                    return []
                result = raw.query(self._sql, self._format, params=dict(params))
                return [self._counted(result)]
        except EngineError:
            self.abandon()
            raise
        finally:
            if not self._streamed:
                self._end()

    def read(self, at_least_bytes: int) -> list[bytes]:
        """Read at least ``at_least_bytes`` of a streamed result; set ``is_finished`` at its end."""
        pieces: list[bytes] = []
        size = 0
        assert self._connection is not None
        try:
            with engine_errors():
                while size < at_least_bytes:
                    result = self._connection.raw.streaming_fetch_result(self._stream)
                    piece = self._counted(result)
                    if not piece:
                        self._end()
                        break
                    pieces.append(piece)
                    size += len(piece)
        except EngineError:
            self.abandon()
            raise
        return pieces

    def abandon(self) -> None:
        """Stop reading and close the connection."""
        self.is_finished = True
        connection, self._connection, self._stream = self._connection, None, None
        if connection is not None:
            self._engine.discard(connection)

    def _end(self) -> None:
        self.is_finished = True
        connection, self._connection, self._stream = self._connection, None, None
        if connection is None:
            return
        if self._reusable:
            self._engine.release(connection)
        else:
            self._engine.discard(connection)

    def _counted(self, result: Any) -> bytes:
        piece: bytes = result.bytes()
        progress = self.progress
        progress.read_rows += result.storage_rows_read()
        progress.read_bytes += result.storage_bytes_read()
        progress.result_rows += result.rows_read()
        progress.result_bytes += len(piece)
        return piece


class Insert:
    """An insert that collects its rows in a memory file before the engine reads them.

    The engine's streaming insert is not used, because it only reports parsing errors. It ignores
    failed constraints, default expressions and writes, and counts their rows as written.
    """

    def __init__(self, engine: Engine, statement: FormattedInsert, files: RowsFiles) -> None:
        self._engine = engine
        self._statement = statement
        self._files = files
        self._rows: RowsFile | None = None
        self.progress = Progress()

    def append(self, data: bytes) -> None:
        """Append a chunk of the rows."""
        if self._rows is None:
            self._rows = self._files.take(len(data))
        self._rows.append(data)

    def finish(self, session: Session) -> None:
        """Insert the rows; return when they are stored."""
        rows = self._rows = self._rows or self._files.take(0)
        rows.end()
        parts = self._statement
        source = b" FROM INFILE '/proc/self/fd/%d' " % rows.descriptor
        query = b"".join((parts.head, source, parts.settings, b" FORMAT ", parts.format.encode()))
        connection = self._engine.acquire(session)
        try:
            with engine_errors():
                result = connection.raw.query(query, "TSV")
        except EngineError:
            self._engine.discard(connection)
            raise
        self._engine.release(connection)
        self.progress.written_rows = result.rows_written()
        self.progress.written_bytes = result.bytes_written()
        self._rows = None
        self._files.give_back(rows)

    def close(self) -> None:
        """Free the memory of the rows."""
        rows, self._rows = self._rows, None
        if rows is not None:
            rows.close()


def _setting_name(name: str) -> str:
    if not _SETTING_NAME.match(name):
        raise EngineError(f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
    return name


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
