"""Write the output of supervised processes to log files, and their warnings to the console."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOG_FILE_MAX_BYTES = 16 * 1024 * 1024
LOG_FILES_KEPT = 3
READ_CHUNK_BYTES = 64 * 1024
LINE_MAX_BYTES = 64 * 1024

CONSOLE_LINE_MAX_CHARS = 300
CONSOLE_LINES_MAX = 3
CONSOLE_PERIOD_S = 60.0
CLIENT_LOGGERS = frozenset({"aiokafka", "clickhouse_connect", "faust", "mode"})
"""Loggers that log every failed attempt to connect. Our packages log an outage once."""

_WARNING = re.compile(
    r'"level": ?"(?:warning|error|critical)"'  # structlog, JSON
    r"|\[(?:warning|error|critical) *\]"  # structlog, console
    r"|\b(?:WARN|WARNING|ERROR|CRITICAL|FATAL)\b"  # Log4j, logging
)
NOT_READY, READY_AGAIN = "not_ready", "ready_again"

_NUMBER = re.compile(r"\d+")
_HIDDEN_FIELDS = ("event", "level", "timestamp", "logger", "process", "exception")


class RotatingFile:
    """An append-only log file; a full file is renamed to `NAME.1`, and old files are deleted."""

    def __init__(
        self, path: Path, *, max_bytes: int = LOG_FILE_MAX_BYTES, kept: int = LOG_FILES_KEPT
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        if self._file.tell() + len(data) > self._max_bytes and self._file.tell() > 0:
            self._rotate()
        self._file.write(data)

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._file = self._path.open("ab", buffering=0)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class ConsoleWarnings:
    """A filter that prints some warnings and errors of a process; the log file contains all.

    In each period, a message is printed once; messages that differ only in numbers count as one. At
    most CONSOLE_LINES_MAX messages are printed, then a line refers to the file. Of client
    libraries, no warnings and only one error each are printed. `ready_again` is printed only after
    `not_ready`.
    """

    def __init__(
        self,
        name: str,
        print_line: Callable[[str], None],
        *,
        log_path: Path,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._print_line = print_line
        self._log_path = log_path
        self._now_s = now_s
        self._period_end_s = float("-inf")
        self._printed: set[str] = set()
        self._has_mentioned_more = False
        self._has_printed_not_ready = False

    def line(self, line: str) -> None:
        if READY_AGAIN in line and _fields(line).get("event") == READY_AGAIN:
            if self._has_printed_not_ready:
                self._has_printed_not_ready = False
                self._print_line(f"{self._name}: {readable(line)}")
            return
        if not _WARNING.search(line):
            return
        self._begin_period_when_due()
        fields = _fields(line)
        library = str(fields.get("logger", "")).partition(".")[0]
        if library in CLIENT_LOGGERS:
            if fields.get("level") == "warning":
                return
            message = library
        else:
            message = _NUMBER.sub("#", readable(line))
        if message in self._printed:
            return
        if len(self._printed) < CONSOLE_LINES_MAX:
            self._printed.add(message)
            self._print_line(f"{self._name}: {readable(line)}")
            self._has_printed_not_ready |= fields.get("event") == NOT_READY
        elif not self._has_mentioned_more:
            self._has_mentioned_more = True
            self._print_line(f"{self._name}: more warnings are in {self._log_path}")

    def _begin_period_when_due(self) -> None:
        now_s = self._now_s()
        if now_s >= self._period_end_s:
            self._period_end_s = now_s + CONSOLE_PERIOD_S
            self._printed.clear()
            self._has_mentioned_more = False


async def copy_output(
    source: asyncio.StreamReader, file: RotatingFile, on_line: Callable[[str], None]
) -> None:
    """Copy `source` to `file` until it ends; call `on_line` with every line, cut if too long."""
    pending = b""
    while chunk := await source.read(READ_CHUNK_BYTES):
        # Reading continues when the disk is full, because the process would otherwise block on its
        # output.
        with contextlib.suppress(OSError):
            file.write(chunk)
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            on_line(line[:LINE_MAX_BYTES].decode(errors="replace"))
        pending = pending[:LINE_MAX_BYTES]
    if pending:
        on_line(pending.decode(errors="replace"))


def readable(line: str) -> str:
    """Return a line for the console, truncated; a structured line as its event and fields."""
    text, fields = line.strip(), _fields(line)
    if fields:
        rest = (f"{k}={v}" for k, v in fields.items() if k not in _HIDDEN_FIELDS)
        text = " ".join([str(fields["event"]), *rest])
    return text if len(text) <= CONSOLE_LINE_MAX_CHARS else f"{text[:CONSOLE_LINE_MAX_CHARS]}…"


def _fields(line: str) -> dict[str, Any]:
    """Return the fields of a structured line; empty for other lines."""
    if not line.lstrip().startswith("{"):
        return {}
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) and "event" in fields else {}
