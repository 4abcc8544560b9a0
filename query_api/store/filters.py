"""Parse the ``filter=`` parameter of the Langfuse API.

It is a JSON array of objects ``{type, column, operator, value[, key]}``, each of which becomes a
``Condition``. Errors contain the path (``filter[2].operator``) and the allowed values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from query_api.errors import BadRequestError
from query_api.money import pico_of
from query_api.store.conditions import OPERATORS_OF, Column, Condition, Kind, Operator, Value
from query_api.times import instant_us

FILTERS_MAX: Final = 50
POSITION_MAX: Final = 2**31
OPTIONS_MAX: Final = 1_000

_COMPARISONS: Final[Mapping[str, Operator]] = MappingProxyType(
    {"=": "eq", "!=": "ne", "<>": "ne", ">": "gt", "<": "lt", ">=": "ge", "<=": "le"}
)
_TEXT_OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "=": "eq",
        "!=": "ne",
        "contains": "contains",
        "does not contain": "lacks",
        "starts with": "starts",
        "ends with": "ends",
        "matches": "matches",
    }
)
_OPTION_OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {"any of": "in", "none of": "not_in"}
)
_LIST_OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {"any of": "has_any", "none of": "has_none", "all of": "has_all"}
)
_PRESENCE: Final[Mapping[str, Operator]] = MappingProxyType(
    {"is set": "set", "is not set": "unset"}
)
_NULL: Final[Mapping[str, Operator]] = MappingProxyType({"is null": "unset", "is not null": "set"})
_POSITION_OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType({"=": "eq"})
_POSITIONS: Final = MappingProxyType(
    {
        "root": ("root", False),
        "first": ("start", False),
        "last": ("end", False),
        "nthFromStart": ("start", True),
        "nthFromEnd": ("end", True),
    }
)
"""For each key: where counting starts, and whether ``value`` is the position (otherwise 1)."""
_FLAG_OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType({"=": "eq", "<>": "ne"})

_OPERATORS: Final[Mapping[str, Mapping[str, Operator]]] = MappingProxyType(
    {
        "datetime": _COMPARISONS,
        "string": _TEXT_OPERATORS,
        "number": _COMPARISONS,
        "stringOptions": _OPTION_OPERATORS,
        "arrayOptions": _LIST_OPERATORS,
        "categoryOptions": _OPTION_OPERATORS,
        "stringObject": {**_TEXT_OPERATORS, **_PRESENCE},
        "numberObject": {**_COMPARISONS, **_PRESENCE},
        "booleanObject": {**_FLAG_OPERATORS, **_PRESENCE},
        "boolean": _FLAG_OPERATORS,
        "null": _NULL,
        "positionInTrace": _POSITION_OPERATORS,
    }
)
_KINDS: Final[Mapping[str, frozenset[Kind]]] = MappingProxyType(
    {
        "datetime": frozenset({Kind.TIME}),
        "string": frozenset({Kind.TEXT}),
        "number": frozenset({Kind.NUMBER, Kind.MONEY, Kind.OF_OBSERVATIONS}),
        "stringOptions": frozenset({Kind.TEXT}),
        "arrayOptions": frozenset({Kind.LIST}),
        "categoryOptions": frozenset({Kind.OBJECT, Kind.SCORE_CATEGORY}),
        "stringObject": frozenset({Kind.OBJECT}),
        "numberObject": frozenset({Kind.OBJECT, Kind.MEAN_SCORE}),
        "booleanObject": frozenset({Kind.OBJECT, Kind.SCORE_FLAG}),
        "boolean": frozenset({Kind.FLAG}),
        "null": frozenset({Kind.TEXT, Kind.NUMBER, Kind.MONEY, Kind.TIME, Kind.LIST}),
        "positionInTrace": frozenset({Kind.POSITION}),
    }
)
_OF_KEY: Final = frozenset({Kind.OBJECT, Kind.MEAN_SCORE, Kind.SCORE_CATEGORY, Kind.SCORE_FLAG})


class _Entry(msgspec.Struct):
    type: str
    column: str
    operator: str
    value: Any = None
    key: str = ""


_decoder: Final = msgspec.json.Decoder(list[_Entry])
_T = TypeVar("_T")


def parse_filter(text: str, columns: Mapping[str, Column]) -> dict[str, list[Condition]]:
    """Return the conditions by column name.

    Raises:
        BadRequestError: The filter is invalid; the message names the allowed values.
    """
    try:
        entries = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise BadRequestError(f"filter: {error}", field="filter") from error
    if len(entries) > FILTERS_MAX:
        raise BadRequestError(f"filter: must have at most {FILTERS_MAX} entries", field="filter")
    conditions: dict[str, list[Condition]] = {}
    for index, entry in enumerate(entries):
        conditions.setdefault(entry.column, []).append(
            _condition(entry, columns, f"filter[{index}]")
        )
    return conditions


def _condition(entry: _Entry, columns: Mapping[str, Column], at: str) -> Condition:
    operators = _one_of(_OPERATORS, entry.type, f"{at}.type")
    column = _one_of(columns, entry.column, f"{at}.column")
    operator = _one_of(operators, entry.operator, f"{at}.operator")
    if column.kind not in _KINDS[entry.type] or operator not in OPERATORS_OF[column.kind]:
        allowed = tuple(name for name, kinds in _KINDS.items() if column.kind in kinds)
        raise BadRequestError(
            f"{at}.type: {entry.type!r} does not fit the column {entry.column!r}",
            field=f"{at}.type",
            allowed=allowed,
        )
    if column.kind in _OF_KEY and not entry.key:
        what = "a member" if column.kind is Kind.OBJECT else "a score"
        message = f"{at}.key: the name of {what} of {entry.column!r} is required"
        raise BadRequestError(message, field=f"{at}.key")
    if column.kind is Kind.POSITION:
        return _position(entry, column, at)
    if operator in {"set", "unset"}:
        return Condition(column, operator, key=entry.key)
    read = _MONEY if column.kind is Kind.MONEY else _VALUES[entry.type]
    try:
        value = read(entry.value)
    except ValueError as error:
        raise BadRequestError(f"{at}.value: {error}", field=f"{at}.value") from error
    return Condition(column, operator, value, entry.key)


def _position(entry: _Entry, column: Column, at: str) -> Condition:
    """Return a condition on the 1-based position in the trace."""
    counts_from, is_counted = _one_of(_POSITIONS, entry.key, f"{at}.key")
    if not is_counted:
        return Condition(column, "eq", 1, counts_from)
    value = entry.value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= POSITION_MAX:
        message = f"{at}.value: a whole number from 1 to {POSITION_MAX} is expected"
        raise BadRequestError(message, field=f"{at}.value")
    return Condition(column, "eq", value, counts_from)


def _one_of(allowed: Mapping[str, _T], name: str, at: str) -> _T:
    found = allowed.get(name)
    if found is None:
        raise BadRequestError(
            f"{at}: {name[:64]!r} is not one of {', '.join(allowed)}",
            field=at,
            allowed=tuple(allowed),
        )
    return found


def _text(value: Any) -> Value:
    if not isinstance(value, str):
        raise ValueError("a string is expected")  # noqa: TRY004
    return value


def _number(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number is expected")  # noqa: TRY004
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("a number in the range of a double is expected") from error
    if not math.isfinite(number):
        raise ValueError("a finite number is expected")
    return number


def _money(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number or a decimal string is expected")  # noqa: TRY004
    text = value if isinstance(value, str) else repr(value)
    return _decimal_text(pico_of(text))


def _decimal_text(pico: int) -> str:
    sign = "-" if pico < 0 else ""
    return f"{sign}{abs(pico) // 10**12}.{abs(pico) % 10**12:012d}"


def _flag(value: Any) -> Value:
    if not isinstance(value, bool):
        raise ValueError("true or false is expected")  # noqa: TRY004
    return value


def _texts(value: Any) -> Value:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of strings is expected")
    if len(value) > OPTIONS_MAX:
        raise ValueError(f"must have at most {OPTIONS_MAX} strings")
    return tuple(value)


_MONEY: Final = _money
_VALUES: Final[Mapping[str, Callable[[Any], Value]]] = MappingProxyType(
    {
        "datetime": instant_us,
        "string": _text,
        "number": _number,
        "stringOptions": _texts,
        "arrayOptions": _texts,
        "categoryOptions": _texts,
        "stringObject": _text,
        "numberObject": _number,
        "booleanObject": _flag,
        "boolean": _flag,
        "null": lambda _value: None,
    }
)
