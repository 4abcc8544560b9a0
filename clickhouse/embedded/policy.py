"""Check the parts of a user's statement that the engine's own privileges do not cover.

The engine has grants (see ``clickhouse.users``) for tables, writes, DDL, and table functions that
access files or other machines. It has no grants for functions that read files or the server's
settings, for system tables, or for raising a limit in a statement. This module has allow-lists for
these; everything else is rejected.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from clickhouse.embedded.lexer import Token, UnreadableSql, is_one_statement, tokens
from clickhouse.users import SYSTEM_TABLES

CACHED_SQL_MAX_BYTES: Final = 16 * 1024
CACHED_SQL_MAX: Final = 512

# Categories of the engine's documentation whose functions depend only on their arguments.
PURE_CATEGORIES: Final = frozenset(
    {
        "Arithmetic", "Arrays", "Bit", "Bitmap", "Comparison", "Conditional", "Dates and Times",
        "Distance", "Encoding", "Hash", "IP Address", "JSON", "Logical", "Map", "Mathematical",
        "Null", "Rounding", "String", "String Replacement", "String Search", "String Splitting",
        "Time Window", "Tuple", "Type Conversion", "URL", "UUID", "Aggregate Functions",
    }
)  # fmt: skip
_OTHER_FUNCTIONS: Final = frozenset(
    {
        "currentDatabase", "currentUser", "finalizeAggregation", "getSetting", "identity",
        "initializeAggregation", "materialize", "throwIf", "toTypeName", "transform", "version",
        "date_add", "date_sub", "date_diff", "substring", "trim", "ltrim", "rtrim", "grouping",
        "byteSize", "toColumnTypeName", "isConstant", "formatReadableSize",
        "formatReadableQuantity",
    }
)  # fmt: skip
_COMBINATORS: Final = re.compile(
    r"(?:If|Array|Map|State|Merge|MergeState|SimpleState|ForEach|Distinct|OrDefault|OrNull|"
    r"ArgMin|ArgMax|Resample|RespectNulls|IgnoreNulls)\Z"
)
_TYPES: Final = frozenset(
    {
        "Array", "Nullable", "Tuple", "Map", "LowCardinality", "Decimal", "Decimal32", "Decimal64",
        "Decimal128", "Decimal256", "DateTime", "DateTime64", "FixedString", "Enum8", "Enum16",
        "AggregateFunction", "SimpleAggregateFunction", "Variant", "Nested", "Time64",
    }
)  # fmt: skip
_KEYWORDS_BEFORE_BRACKETS: Final = frozenset(
    {
        "ALL", "AND", "ANY", "ARRAY", "AS", "BETWEEN", "BY", "CASE", "COLUMNS", "CUBE", "DISTINCT",
        "ELSE", "EXCEPT", "EXISTS", "FILL", "FROM", "GLOBAL", "HAVING", "ILIKE", "IN", "INTERSECT",
        "INTERVAL", "JOIN", "LIKE", "LIMIT", "NOT", "OFFSET", "ON", "OR", "OVER", "PREWHERE",
        "QUALIFY", "ROLLUP", "SELECT", "SETS", "STEP", "THEN", "UNION", "USING", "WHEN", "WHERE",
        "WITH", "APPLY", "REPLACE", "TO", "VALUES",
    }
)  # fmt: skip
# Keywords of statements other than SELECT, of files, of other parsers and of identifier parameters.
_NEVER: Final = (
    "INSERT", "OUTFILE", "INFILE", "EXECUTE", "PARALLEL", "IDENTIFIER", "ATTACH", "INTO",
)  # fmt: skip
_SYSTEM_DATABASES: Final = frozenset({"system", "information_schema"})

_FREE_SETTINGS: Final = re.compile(
    r"output_format_\w+|input_format_(?!avro_schema_registry)\w+|max_(?:rows|bytes)_to_read"
    r"|max_result_(?:rows|bytes)|max_block_size|max_insert_block_size"
    r"|merge_tree_min_(?:read_task_size|(?:rows|bytes)_for_concurrent_read)"
    r"|max_partitions_per_insert_block"
    r"|do_not_merge_across_partitions_select_final|final|(?:result|read|timeout)_overflow_mode"
    r"|async_insert|wait_for_async_insert|insert_deduplicate|optimize_on_insert|max_insert_threads"
    r"|materialize_statistics_on_insert|date_time_(?:in|out)put_format|join_algorithm"
    r"|session_timezone|use_skip_indexes\w*|max_bytes_before_external_\w+|optimize_\w+"
    r"|log_queries|cast_(?:keep_nullable|string_to_(?:dynamic|variant)_use_inference)"
    r"|joined_subquery_requires_alias|join_use_nulls|mutations_sync"
)
_AMOUNT: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?")
_SETTING_VALUE: Final = re.compile(r"'[A-Za-z0-9_,:/ +.-]*'|[0-9A-Za-z_.]+")


_DELETE: Final = ("ALTER", "TABLE", "DELETE", "IN", "PARTITION", "ID")


class NotAllowed(Exception):
    """The user may not run this statement; the message names the rejected part."""


@dataclass(frozen=True, slots=True)
class FunctionNames:
    """The names of the functions that a statement may call."""

    exact: frozenset[str]
    any_case: frozenset[str]
    """Case-insensitive names, in lower case."""
    aggregates: frozenset[str]

    def allow(self, name: str) -> bool:
        if name in self.exact or name.lower() in self.any_case:
            return True
        while name not in self.aggregates:
            shorter = _COMBINATORS.sub("", name)
            if shorter == name:
                return False
            name = shorter
        return True


FUNCTIONS_SQL: Final = """
SELECT known.name, known.case_insensitive, known.is_aggregate,
    if(known.alias_to = '', known.categories, target.categories) AS category
FROM system.functions AS known LEFT JOIN system.functions AS target ON target.name = known.alias_to
WHERE known.origin = 'System' FORMAT JSONCompactEachRow
"""


def function_names(rows: Iterable[tuple[str, int, int, str]]) -> FunctionNames:
    """Return the allowed functions of the engine, given the rows of ``FUNCTIONS_SQL``."""
    pure = [row for row in rows if row[2] or row[3] in PURE_CATEGORIES]
    return FunctionNames(
        exact=frozenset({row[0] for row in pure}) | _OTHER_FUNCTIONS | _TYPES,
        any_case=frozenset(
            {row[0].lower() for row in pure if row[1]} | {"cast", "extract", "trim"}
        ),
        aggregates=frozenset({row[0] for row in pure if row[2]}),
    )


class Policy:
    """The restrictions of the users ``query`` and ``ingest``."""

    def __init__(self, functions: FunctionNames, limits: Mapping[str, int]) -> None:
        self._functions = functions
        self._limits = dict(limits)
        self._check_cached = lru_cache(CACHED_SQL_MAX)(self._check)

    def check_query(self, sql: bytes) -> None:
        """Allow one SELECT with allowed functions, tables and settings, or EXPLAIN ESTIMATE of it.

        Raises:
            NotAllowed: the statement is not such a SELECT.
        """
        refusal = self._check_cached(sql) if len(sql) <= CACHED_SQL_MAX_BYTES else self._check(sql)
        if refusal:
            raise NotAllowed(refusal)

    def check_insert(self, head: bytes, settings: bytes) -> None:
        """Allow ``INSERT INTO table (columns) SETTINGS …``. Raises like ``check_query``."""
        try:
            words, clause = list(tokens(head)), list(tokens(settings))
        except UnreadableSql as error:
            raise NotAllowed(f"the statement {error}") from None
        self._require_insert(words)
        if clause and self._require_settings(clause[1:]) != len(clause) - 1:
            raise NotAllowed("SETTINGS must be followed by name = value")

    def check_insert_select(self, sql: bytes) -> None:
        """Allow ``INSERT INTO table (columns) SELECT …`` with a SELECT that ``check_query`` allows.

        Raises like ``check_query``.
        """
        try:
            found = list(tokens(sql))
        except UnreadableSql as error:
            raise NotAllowed(f"the statement {error}") from None
        at = next((at for at, token in enumerate(found) if token.is_word("SELECT", "WITH")), 0)
        self._require_insert(found[:at])
        if not found[at - 1].is_symbol(")"):
            raise NotAllowed("INSERT … SELECT must list the columns")
        self._require_select(found[at:])

    def check_delete(self, sql: bytes) -> None:
        """Allow ``ALTER TABLE table DELETE IN PARTITION ID 'id' WHERE value = 'text' AND …``.

        Raises like ``check_query``.
        """
        try:
            found = list(tokens(sql))
        except UnreadableSql as error:
            raise NotAllowed(f"the statement {error}") from None
        at = next((at for at, token in enumerate(found) if token.is_word("WHERE")), 0)
        if not (_is_delete_of_partition(found[:at]) and _are_comparisons(found[at + 1 :])):
            raise NotAllowed(
                "ALTER is only allowed as DELETE IN PARTITION ID 'id' WHERE value = 'text' AND …"
            )
        self._require_functions(found)
        self._require_tables(found)

    def check_settings(self, database: str, settings: Mapping[str, str]) -> None:
        """Check the database and the settings of a request. Raises like ``check_query``."""
        if database.lower() in _SYSTEM_DATABASES:
            raise NotAllowed(f"the database {database} is not allowed")
        for name, value in settings.items():
            self._require_setting(name, value)

    def _check(self, sql: bytes) -> str:
        """Return the reason why the statement is rejected; empty if it is allowed."""
        try:
            found = list(tokens(sql))
            self._require_select(found[2:] if _is_estimate(found) else found)
        except UnreadableSql as error:
            return f"the statement {error}"
        except NotAllowed as refusal:
            return str(refusal)
        return ""

    def _require_select(self, found: list[Token]) -> None:
        if not is_one_statement(found):
            raise NotAllowed("one statement at a time is allowed")
        first = next((token for token in found if not token.is_symbol("(")), None)
        if first is None or not first.is_word("SELECT", "WITH"):
            raise NotAllowed("only SELECT is allowed")
        for token in found:
            if token.is_word(*_NEVER):
                raise NotAllowed(f"{token.text.upper()} is not allowed")
        self._require_functions(found)
        self._require_tables(found)
        for at, token in enumerate(found):
            is_a_name = at > 0 and found[at - 1].is_symbol(".")  # the table system.settings
            if token.is_word("SETTINGS") and not is_a_name:
                self._require_settings(found[at + 1 :])

    def _require_insert(self, words: list[Token]) -> None:
        """Check the tokens of ``INSERT INTO table (columns)``."""
        shape = "".join("n" if token.is_name else token.text for token in words)
        plain = len(words) > 2 and words[0].is_word("INSERT") and words[1].is_word("INTO")
        if not plain or not re.fullmatch(r"nnn?n(?:\.n)?(?:\(n(?:\.n)*(?:,n(?:\.n)*)*\))?", shape):
            raise NotAllowed(
                "only INSERT INTO table (columns) with FORMAT … and rows, or SELECT, is allowed"
            )
        names = words[2:]
        if names[0].is_word("TABLE"):
            names = names[1:]
        if not names or names[0].is_word("FUNCTION"):
            raise NotAllowed("rows can be inserted into tables only")
        self._require_tables(names)

    def _require_functions(self, found: list[Token]) -> None:
        for token, after in itertools.pairwise(found):
            if not (after.is_symbol("(") and token.is_name):
                continue
            if token.is_word(*_KEYWORDS_BEFORE_BRACKETS):
                continue
            if not self._functions.allow(token.text):
                raise NotAllowed(f"the function {token.text} is not allowed")

    def _require_tables(self, found: list[Token]) -> None:
        for at, token in enumerate(found):
            if not (token.is_name and token.text.lower() in _SYSTEM_DATABASES):
                continue
            dot, name = (*found[at + 1 : at + 3], None, None)[:2]
            if (
                token.text != "system"
                or dot is None
                or name is None
                or not dot.is_symbol(".")
                or name.text not in SYSTEM_TABLES
            ):
                table = f"{token.text}.{name.text if name else ''}"
                raise NotAllowed(f"the table {table} is not allowed")

    def _require_settings(self, behind: list[Token]) -> int:
        """Check ``name = value, …`` after SETTINGS; return the number of its tokens."""
        at = 0
        while True:
            name, equals, value, after = (*behind[at : at + 4], None, None, None, None)[:4]
            if name is None or equals is None or value is None or not equals.is_symbol("="):
                raise NotAllowed("SETTINGS must be followed by name = value")
            if name.kind != "word" or value.kind not in {"string", "number", "word"}:
                raise NotAllowed("SETTINGS must be followed by name = value")
            if not _SETTING_VALUE.fullmatch(value.text):
                raise NotAllowed(f"the value of the setting {name.text} is not allowed")
            self._require_setting(name.text, value.text.strip("'"))
            if after is None or not after.is_symbol(","):
                return at + 3
            at += 4

    def _require_setting(self, name: str, value: str) -> None:
        limit = self._limits.get(name)
        if limit is not None:
            if not _AMOUNT.fullmatch(value) or not 0 < float(value) <= limit:
                raise NotAllowed(f"the setting {name} must be above 0 and at most {limit}")
        elif not _FREE_SETTINGS.fullmatch(name):
            raise NotAllowed(f"the setting {name} is not allowed")


def _is_estimate(found: list[Token]) -> bool:
    """Return whether a statement only asks how much a query would read."""
    return len(found) > 2 and found[0].is_word("EXPLAIN") and found[1].is_word("ESTIMATE")


def _is_delete_of_partition(head: list[Token]) -> bool:
    """Return whether tokens are ``ALTER TABLE table DELETE IN PARTITION ID 'id'``."""
    words, table = [*head[:2], *head[-5:-1]], head[2:-5]
    return (
        len(head) in {8, 10}
        and all(token.is_word(word) for token, word in zip(words, _DELETE, strict=True))
        and head[-1].kind == "string"
        and all(token.is_name for token in table[::2])
        and all(token.is_symbol(".") for token in table[1::2])
    )


def _are_comparisons(condition: list[Token]) -> bool:
    """Return whether tokens are comparisons with literals, joined by AND."""
    parts: list[list[Token]] = [[]]
    for token in condition:
        if token.is_word("AND"):
            parts.append([])
        else:
            parts[-1].append(token)
    return all(_is_comparison(each) or _is_of_column(each) for each in parts)


def _is_of_column(condition: list[Token]) -> bool:
    """Return whether tokens are ``column = 1``, ``column < 1`` or ``column IN ('text', …)``."""
    if not condition or not condition[0].is_name:
        return False
    if len(condition) == 3:
        is_compared = condition[1].is_symbol("=") or condition[1].is_symbol("<")
        return is_compared and condition[2].kind == "number"
    if len(condition) < 5 or not condition[1].is_word("IN"):
        return False
    shape = "".join("'" if token.kind == "string" else token.text for token in condition[2:])
    return re.fullmatch(r"\('(?:,')*\)", shape) is not None


def _is_comparison(condition: list[Token]) -> bool:
    """Return whether tokens are a column, or a function of columns and texts, ``= 'text'``."""
    value, end = condition[:-2], condition[-2:]
    if not value or len(end) < 2 or not end[0].is_symbol("=") or end[1].kind != "string":
        return False
    shape = "".join("n" if token.is_name else token.text[:1] for token in value)
    is_simple = re.fullmatch(r"n(?:\((?:n|')(?:,(?:n|'))*\))?", shape) is not None
    return is_simple and not any(token.is_word("SELECT", *_NEVER) for token in value)
