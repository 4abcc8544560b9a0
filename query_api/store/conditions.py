"""Define conditions on columns: the operators of each kind of column, and their SQL.

The SQL of columns is constant. Values of clients are always bound by ``Binder``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal

from query_api.store.joins import Join
from query_api.store.rows import GIVES_TEXTS, IS_DECLARED
from query_api.store.sql import OF_PROJECT, Binder
from query_api.store.text_search import spellings
from query_api.store.trace_aggregates import (
    mean_score_sql,
    observations_sql,
    score_category_sql,
    score_flag_sql,
)

Operator = Literal[
    "eq", "ne", "lt", "le", "gt", "ge",
    "contains", "lacks", "starts", "ends", "matches",
    "in", "not_in", "has_any", "has_none", "has_all",
    "set", "unset",
]  # fmt: skip
Value = str | int | float | bool | tuple[str, ...] | None


class Kind(Enum):
    """Kind of a column, which determines its operators and the type of bound values."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    TIME = "time"
    FLAG = "flag"
    LIST = "list"
    OBJECT = "object"
    POSITION = "position"
    """Position of an observation in its trace, by start. ``sql`` is the condition for roots."""
    OF_OBSERVATIONS = "of observations"
    """A number of a trace; ``sql`` is an aggregate of its observations."""
    MEAN_SCORE = "mean score"
    SCORE_CATEGORY = "score category"
    SCORE_FLAG = "score flag"
    """Scores of a trace; ``key`` is their name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that clients can filter by; ``sql`` is an expression over the queried table."""

    sql: str
    kind: Kind
    full_text: bool = False
    """Whether only the table with full texts has the column."""
    narrow: bool = False
    """Whether an index finds the rows with a value, which are few."""
    of_trace: bool = False
    """Whether it is a column of ``traces``, for filters of observations and scores."""
    is_json: bool = False
    """Whether its texts may be JSON, in which searches find all spellings of a text."""
    join: Join | None = None
    """The join of an aggregate query that adds the column."""
    of_root: bool = False
    """Whether a trace without a value has that of its root observation, from the same column."""
    may_be_absent: bool = False
    """Whether a time may be the epoch, which stands for no time and meets no comparison."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition ``column operator value``.

    Times are microseconds. Money and lists of numbers are decimal strings. ``key`` is the name of a
    member of an object, or the origin of a position.
    """

    column: Column
    operator: Operator
    value: Value = None
    key: str = ""


_ORDERED: Final[frozenset[Operator]] = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
_TEXTUAL: Final[frozenset[Operator]] = frozenset(
    {"eq", "ne", "contains", "lacks", "starts", "ends", "matches", "in", "not_in"}
)
_PRESENT: Final[frozenset[Operator]] = frozenset({"set", "unset"})
_INNER: Final[frozenset[Operator]] = frozenset({"contains", "lacks", "matches"})
"""Operators that search a text within another one."""

OPERATORS_OF: Final[Mapping[Kind, frozenset[Operator]]] = MappingProxyType(
    {
        Kind.TEXT: _TEXTUAL | _PRESENT,
        Kind.NUMBER: _ORDERED | _PRESENT,
        Kind.MONEY: _ORDERED | _PRESENT,
        Kind.TIME: _ORDERED | _PRESENT,
        Kind.FLAG: frozenset({"eq", "ne"}),
        Kind.LIST: frozenset({"has_any", "has_none", "has_all", "set", "unset"}),
        Kind.OBJECT: _ORDERED | _TEXTUAL | _PRESENT,
        Kind.POSITION: frozenset({"eq"}),
        Kind.OF_OBSERVATIONS: _ORDERED,
        Kind.MEAN_SCORE: _ORDERED,
        Kind.SCORE_CATEGORY: frozenset({"in", "not_in"}),
        Kind.SCORE_FLAG: frozenset({"eq", "ne"}),
    }
)

_COMPARISONS: Final[Mapping[str, str]] = MappingProxyType(
    {"eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
)
_SEARCHES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "contains": "positionUTF8({0}, {1}) > 0",
        "lacks": "positionUTF8({0}, {1}) = 0",
        "starts": "startsWith({0}, {1})",
        "ends": "endsWith({0}, {1})",
        "matches": "positionCaseInsensitiveUTF8({0}, {1}) > 0",
        "in": "{0} IN {1}",
        "not_in": "{0} NOT IN {1}",
        "has_any": "hasAny({0}, {1})",
        "has_none": "NOT hasAny({0}, {1})",
        "has_all": "hasAll({0}, {1})",
    }
)


def conditions_sql(conditions: tuple[Condition, ...], binder: Binder) -> str:
    """Return the conditions, each after an ``AND``; conditions on the trace share a subquery."""
    positions = tuple(each for each in conditions if each.column.kind is Kind.POSITION)
    others = tuple(each for each in conditions if each.column.kind is not Kind.POSITION)
    own = [_sql(condition, binder) for condition in others if not condition.column.of_trace]
    of_trace = [_sql(condition, binder) for condition in others if condition.column.of_trace]
    if of_trace:
        inner = " AND ".join((OF_PROJECT, *of_trace))
        own.append(f"trace_id IN (SELECT id FROM traces FINAL WHERE {inner})")
    own += [_position_sql(condition, others, binder) for condition in positions]
    return "".join(f"\n  AND {condition}" for condition in own)


def are_narrow(conditions: tuple[Condition, ...]) -> bool:
    """Return whether an index finds the rows that meet one of the conditions."""
    return any(
        condition.column.narrow and condition.operator in {"eq", "in"} for condition in conditions
    )


def needs_full_texts(conditions: tuple[Condition, ...]) -> bool:
    return any(condition.column.full_text for condition in conditions)


def _position_sql(condition: Condition, others: tuple[Condition, ...], binder: Binder) -> str:
    """Return a condition on the position among all observations of a trace.

    Only traces with observations that meet the conditions ``others`` are sorted.
    """
    if condition.key == "root":
        return condition.column.sql
    assert isinstance(condition.value, int)
    traces = ""
    if others:
        table = "observations" if needs_full_texts(others) else "observations_slim"
        inner = OF_PROJECT + conditions_sql(others, binder)
        traces = f"\n    AND trace_id IN (SELECT trace_id FROM {table} WHERE {inner})"
    order = " DESC" if condition.key == "end" else ""
    skipped = binder.bind(condition.value - 1, "UInt32")
    return (
        "(trace_id, id) IN (\n  SELECT trace_id, id FROM observations_slim FINAL\n"
        f"  WHERE {OF_PROJECT}{traces}\n"
        f"  ORDER BY trace_id, start_time{order}, id{order}\n  LIMIT {skipped}, 1 BY trace_id\n)"
    )


def _sql(condition: Condition, binder: Binder) -> str:
    render = _RENDERERS[condition.column.kind]
    return render(condition, binder)


def _text(condition: Condition, binder: Binder) -> str:
    column = condition.column
    if not column.of_root:
        return _text_sql(column.sql, condition, binder)
    positive = _POSITIVE_OF.get(condition.operator)
    if positive is not None:
        return f"NOT {_text(replace(condition, operator=positive), binder)}"
    own = _text_sql(column.sql, condition, binder)
    roots = (
        "(id, root_observation_id) IN (SELECT trace_id, id FROM observations FINAL"
        f" WHERE {OF_PROJECT} AND {GIVES_TEXTS} AND {own})"
    )
    return f"if({column.sql} != '' OR {IS_DECLARED}, {own}, {roots})"


_POSITIVE_OF: Final[Mapping[Operator, Operator]] = MappingProxyType(
    {"ne": "eq", "lacks": "contains", "not_in": "in", "unset": "set"}
)
"""Operators that are the negation of another one."""


def _text_sql(expression: str, condition: Condition, binder: Binder) -> str:
    operator, value = condition.operator, condition.value
    if operator in {"set", "unset"}:
        return f"{expression} {'!=' if operator == 'set' else '='} ''"
    if isinstance(value, tuple):
        return _SEARCHES[operator].format(expression, binder.texts(value))
    if operator in _COMPARISONS:
        return f"{expression} {_COMPARISONS[operator]} {binder.text(str(value))}"
    texts: tuple[str, ...] = (str(value),)
    if condition.column.is_json and operator in _INNER:
        texts = spellings(str(value))
    searches = [_SEARCHES[operator].format(expression, binder.text(text)) for text in texts]
    if len(searches) == 1:
        return searches[0]
    return f"({(' AND ' if operator == 'lacks' else ' OR ').join(searches)})"


def _number(condition: Condition, binder: Binder) -> str:
    expression, operator, value = condition.column.sql, condition.operator, condition.value
    if operator in {"set", "unset"}:
        return f"isNotNull({expression})" if operator == "set" else f"isNull({expression})"
    if isinstance(value, tuple):
        numbers = f"arrayMap(text -> toFloat64(text), {binder.texts(value)})"
        return f"ifNull(has({numbers}, {expression}), 0)"
    assert isinstance(value, int | float)
    bound = binder.bind(float(value), "Float64")
    return f"ifNull({expression} {_COMPARISONS[operator]} {bound}, 0)"


def _money(condition: Condition, binder: Binder) -> str:
    expression, operator, value = condition.column.sql, condition.operator, condition.value
    if operator in {"set", "unset"}:
        return f"{expression} {'!=' if operator == 'set' else '='} 0"
    assert isinstance(value, str)
    return f"{expression} {_COMPARISONS[operator]} {binder.bind(value, 'Decimal(38, 12)')}"


def _time(condition: Condition, binder: Binder) -> str:
    expression, operator, value = condition.column.sql, condition.operator, condition.value
    if operator in {"set", "unset"}:
        return f"{expression} {'!=' if operator == 'set' else '='} {binder.instant(0)}"
    assert isinstance(value, int)
    compared = f"{expression} {_COMPARISONS[operator]} {binder.instant(value)}"
    if not condition.column.may_be_absent:
        return compared
    return f"({compared} AND {expression} > {binder.instant(0)})"


def _flag(condition: Condition, _binder: Binder) -> str:
    wanted = bool(condition.value) == (condition.operator == "eq")
    return condition.column.sql if wanted else f"NOT {condition.column.sql}"


def _list(condition: Condition, binder: Binder) -> str:
    expression, operator, value = condition.column.sql, condition.operator, condition.value
    if operator in {"set", "unset"}:
        return f"{'notEmpty' if operator == 'set' else 'empty'}({expression})"
    assert isinstance(value, tuple)
    return _SEARCHES[operator].format(expression, binder.texts(value))


def _object(condition: Condition, binder: Binder) -> str:
    """Return a condition on a member of a JSON object.

    Strings are compared by value, and other members by their JSON. ``a.b`` also means
    ``{"a": {"b": …}}``.
    """
    text, operator, value = condition.column.sql, condition.operator, condition.value
    whole = binder.text(condition.key)
    path = [whole]
    if value == "" and operator in {"contains", "starts", "ends"}:
        operator = "set"  # as in Langfuse: an empty text is part of any value
    if "." in condition.key:
        path = [binder.text(part) for part in condition.key.split(".")[:8]]
    nested = ", ".join(path)
    if operator in {"set", "unset"}:
        has = f"(JSONHas({text}, {whole}) OR JSONHas({text}, {nested}))"
        return has if operator == "set" else f"NOT {has}"
    at = (
        f"if(JSONHas({text}, {whole}), JSONExtractRaw({text}, {whole}),"
        f" JSONExtractRaw({text}, {nested}))"
    )
    if isinstance(value, bool):
        return f"{at} {_COMPARISONS[operator]} {binder.text('true' if value else 'false')}"
    if isinstance(value, int | float):
        bound = binder.bind(float(value), "Float64")
        return f"ifNull(toFloat64OrNull({at}) {_COMPARISONS[operator]} {bound}, 0)"
    member = f"if(startsWith({at}, '\"'), JSONExtractString({at}), {at})"
    return _text_sql(member, condition, binder)


def _of_observations(condition: Condition, binder: Binder) -> str:
    operator, value = condition.operator, condition.value
    assert isinstance(value, int | float)
    sign = _COMPARISONS[operator]
    return observations_sql(condition.column.sql, operator, sign, float(value), binder)


def _mean_score(condition: Condition, binder: Binder) -> str:
    assert isinstance(condition.value, int | float)
    sign = _COMPARISONS[condition.operator]
    return mean_score_sql(condition.key, sign, float(condition.value), binder)


def _score_category(condition: Condition, binder: Binder) -> str:
    assert isinstance(condition.value, tuple)
    is_none = condition.operator == "not_in"
    return score_category_sql(condition.key, condition.value, binder, is_none=is_none)


def _score_flag(condition: Condition, binder: Binder) -> str:
    is_none = condition.operator == "ne"
    return score_flag_sql(condition.key, binder, flag=bool(condition.value), is_none=is_none)


_RENDERERS: Final[Mapping[Kind, Callable[[Condition, Binder], str]]] = MappingProxyType(
    {
        Kind.TEXT: _text,
        Kind.NUMBER: _number,
        Kind.MONEY: _money,
        Kind.TIME: _time,
        Kind.FLAG: _flag,
        Kind.LIST: _list,
        Kind.OBJECT: _object,
        Kind.OF_OBSERVATIONS: _of_observations,
        Kind.MEAN_SCORE: _mean_score,
        Kind.SCORE_CATEGORY: _score_category,
        Kind.SCORE_FLAG: _score_flag,
    }
)
