"""Detect inserts that are followed by data, and results that can be streamed."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Formats without headers or footers around blocks: their results can be sent block by block.
STREAMED_FORMATS = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})

CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
}

_TOKEN = re.compile(
    rb"""(?P<skip>\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)
    |(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_DATA_START = re.compile(rb"[ \t\f]*;?[ \t\f]*(?:\r?\n)?")
_TRAILING_FORMAT = re.compile(
    rb"\bFORMAT\s+(\w+)(?:\s+SETTINGS\s[^'\"`()]*)?\s*;?\s*\Z", re.IGNORECASE
)
_ANY_FORMAT = re.compile(rb"\bFORMAT\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FormattedInsert:
    """The parts of ``INSERT INTO t (…) SETTINGS … FORMAT x``, and the data that follows."""

    head: bytes
    settings: bytes
    """The SETTINGS clause with its keyword; empty if there is none."""
    format: str
    data: bytes


def first_word(sql: bytes) -> str:
    """Return the statement's first keyword in upper case; empty if there is none."""
    for token in _TOKEN.finditer(sql):
        if token.lastgroup == "word":
            return token.group().decode().upper()
        if token.lastgroup not in {"skip", "open"}:
            return ""
    return ""


def formatted_insert(sql: bytes) -> FormattedInsert | None:
    """Return the parts of an insert whose rows follow a FORMAT clause; None for other statements.

    The scan ends at the first FORMAT, VALUES, SELECT or WITH outside of brackets and quotes.
    """
    if first_word(sql) != "INSERT":
        return None
    depth = 0
    settings_at = format_at = -1
    for token in _TOKEN.finditer(sql):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "word" and depth == 0:
            if format_at >= 0:
                data_start = _DATA_START.match(sql, token.end())
                start = data_start.end() if data_start else token.end()
                cut_at = settings_at if settings_at >= 0 else format_at
                return FormattedInsert(
                    sql[:cut_at], sql[cut_at:format_at], token.group().decode(), sql[start:]
                )
            word = token.group().upper()
            if word == b"FORMAT":
                format_at = token.start()
            elif word == b"SETTINGS":
                settings_at = token.start()
            elif word in {b"VALUES", b"SELECT", b"WITH", b"WATCH"}:
                return None
    return None


def result_format(sql: bytes, default: str) -> tuple[str, bool]:
    """Return the format of a query's result, and whether it can be streamed in chunks."""
    named = _TRAILING_FORMAT.search(sql)
    if named:
        name = named.group(1).decode()
        return name, name in STREAMED_FORMATS
    # If FORMAT occurs elsewhere (a column, a literal, an unusual clause), the result is not
    # streamed, to be safe.
    return default, default in STREAMED_FORMATS and not _ANY_FORMAT.search(sql)
