"""Define the filters of ``/v1/query``: fields by name, and operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from query_api.decimals import decimal_text
from query_api.errors import BadRequestError
from query_api.query.dimension import View
from query_api.query.fields import EXPERIMENT_NAMES, experiment_columns
from query_api.store.columns import OBSERVATION_COLUMNS, SCORE_COLUMNS, TRACE_COLUMNS
from query_api.store.conditions import OPERATORS_OF, Column, Condition, Kind, Operator, Value
from query_api.times import instant_us

VALUES_MAX: Final = 1_000
_TRACE_VERSION: Final = replace(TRACE_COLUMNS["version"], of_trace=True)
_MILLISECONDS: Final = "(toUnixTimestamp64Micro({1}) - toUnixTimestamp64Micro({0})) / 1000"


def _ms(since: str, until: str) -> Column:
    """Return the column of the time between two others; null if the second is absent."""
    span = _MILLISECONDS.format(since, until)
    return Column(f"if(toUnixTimestamp64Micro({until}) > 0, {span}, NULL)", Kind.NUMBER)


def _named(columns: Mapping[str, Column], names: Mapping[str, str]) -> dict[str, Column]:
    return {name: columns[known] for name, known in names.items()}


def _of_experiment(view: View) -> dict[str, Column]:
    return _named(experiment_columns(view), EXPERIMENT_NAMES)


_SAME: Final = ("id", "name", "environment", "version", "release")
FIELDS: Final[Mapping[View, Mapping[str, Column]]] = MappingProxyType(
    {
        "observations": {
            **_named(
                OBSERVATION_COLUMNS,
                {
                    **{each: each for each in (*_SAME, "type", "level", "model", "tags")},
                    "trace_id": "traceId",
                    "parent_id": "parentObservationId",
                    "user_id": "userId",
                    "session_id": "sessionId",
                    "trace_name": "traceName",
                    "prompt_name": "promptName",
                    "start": "startTime",
                    "is_root": "isRootObservation",
                    "cost_usd": "totalCost",
                    "total_tokens": "totalTokens",
                    "status_message": "statusMessage",
                    "input": "input",
                    "output": "output",
                    "metadata": "metadata",
                },
            ),
            "trace_version": _TRACE_VERSION,
            "prompt_version": Column(
                "if(prompt_version = 0, '', toString(prompt_version))", Kind.TEXT
            ),
            "service_tier": Column("service_tier", Kind.TEXT),
            "provider": Column("provider", Kind.TEXT, full_text=True),
            "api_key": Column("api_key", Kind.TEXT, full_text=True),
            "error_type": Column("error_type", Kind.TEXT, full_text=True),
            "latency_ms": _ms("start_time", "end_time"),
            "ttft_ms": _ms("start_time", "completion_start_time"),
            **_of_experiment("observations"),
        },
        "traces": {
            **_named(
                TRACE_COLUMNS,
                {
                    **{each: each for each in (*_SAME, "tags", "input", "output", "metadata")},
                    "user_id": "userId",
                    "session_id": "sessionId",
                    "start": "timestamp",
                    "cost_usd": "totalCost",
                    "total_tokens": "totalTokens",
                    "observations": "observationCount",
                    "errors": "errorCount",
                },
            ),
            "latency_ms": _ms("start_time", "end_time"),
            **_of_experiment("traces"),
        },
        "scores": {
            **_named(
                SCORE_COLUMNS,
                {
                    **{each: each for each in ("id", "name", "source", "environment", "value")},
                    "string_value": "stringValue",
                    "data_type": "dataType",
                    "config_id": "configId",
                    "trace_id": "traceId",
                    "observation_id": "observationId",
                    "user_id": "userId",
                    "session_id": "sessionId",
                    "trace_name": "traceName",
                    "tags": "traceTags",
                },
            ),
            **_of_experiment("scores"),
        },
    }
)

_TEXT: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "=": "eq", "!=": "ne", "in": "in", "not_in": "not_in", "contains": "contains",
        "not_contains": "lacks", "starts_with": "starts", "ends_with": "ends",
        "matches": "matches", "is_set": "set", "is_not_set": "unset",
    }
)  # fmt: skip
_ORDERED: Final[Mapping[str, Operator]] = MappingProxyType(
    {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
     "is_set": "set", "is_not_set": "unset"}
)  # fmt: skip
OPERATORS: Final[Mapping[Kind, Mapping[str, Operator]]] = MappingProxyType(
    {
        Kind.TEXT: _TEXT,
        Kind.NUMBER: _ORDERED,
        Kind.MONEY: _ORDERED,
        Kind.TIME: _ORDERED,
        Kind.FLAG: {"=": "eq", "!=": "ne"},
        Kind.LIST: {
            "in": "has_any", "not_in": "has_none", "all_of": "has_all",
            "is_set": "set", "is_not_set": "unset",
        },
        Kind.OBJECT: {**_TEXT, **_ORDERED},
    }
)  # fmt: skip
_VALUELESS: Final = frozenset({"set", "unset"})
_SEVERAL: Final = frozenset({"in", "not_in", "has_any", "has_none", "has_all"})


def column_of(view: View, name: str, field: str) -> Column:
    """Return the column of a field. Raises: BadRequestError: the view has none of this name."""
    found = FIELDS[view].get(name)
    if found is None:
        allowed = tuple(FIELDS[view])
        message = f"{field}: {name[:64]!r} is not a field; allowed: {', '.join(allowed)}"
        raise BadRequestError(message, field=field, allowed=allowed)
    return found


def values_condition(view: View, name: str, values: Sequence[str]) -> Condition:
    """Return the condition that a field has one of these values.

    Raises:
        BadRequestError: the view has no such field, or it is neither a text nor a list.
    """
    field = f"filter.{name[:64]}"
    column = column_of(view, name, field)
    operator = OPERATORS[column.kind].get("in")
    if operator is None or column.kind is Kind.OBJECT:
        message = f"{field}: use `filters` with an operator for this field"
        raise BadRequestError(message, field=field)
    return Condition(column, operator, tuple(values))


def condition_of(
    view: View, name: str, operator: str, value: Any, key: str, field: str
) -> Condition:
    """Return a filter; ``field`` is its path in the body.

    Raises:
        BadRequestError: the field, the operator, the value or the key is wrong.
    """
    column = column_of(view, name, f"{field}.field")
    operators = OPERATORS[column.kind]
    found = operators.get(operator)
    if found is None or found not in OPERATORS_OF[column.kind]:
        allowed = tuple(operators)
        at = f"{field}.operator"
        message = (
            f"{at}: {operator[:64]!r} is not allowed for {name}; allowed: {', '.join(allowed)}"
        )
        raise BadRequestError(message, field=at, allowed=allowed)
    if (column.kind is Kind.OBJECT) != bool(key):
        needed = "is required" if column.kind is Kind.OBJECT else "is only for objects"
        raise BadRequestError(f"{field}.key: {needed}", field=f"{field}.key")
    if found in _VALUELESS:
        return Condition(column, found, key=key)
    try:
        return Condition(column, found, _value(column.kind, found, value), key)
    except ValueError as error:
        raise BadRequestError(f"{field}.value: {error}", field=f"{field}.value") from error


def _value(kind: Kind, operator: Operator, value: Any) -> Value:
    if operator in _SEVERAL:
        return _texts(value)
    return _VALUES[kind](value)


def _text(value: Any) -> Value:
    if not isinstance(value, str):
        raise ValueError("a string is expected")  # noqa: TRY004
    return value


def _texts(value: Any) -> Value:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of strings is expected")
    if len(value) > VALUES_MAX:
        raise ValueError(f"must have at most {VALUES_MAX} strings")
    return tuple(value)


def _number(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise ValueError("a number in the range of a double is expected")
    return float(value)


_LARGEST: Final = 1.7e308


def _money(value: Any) -> Value:
    text = decimal_text(value)
    whole, _, part = text.partition(".")
    if len(part) > _DECIMALS or len(whole.lstrip("-")) > _WHOLE_DIGITS:
        raise ValueError(
            f"an amount with at most {_WHOLE_DIGITS} digits and {_DECIMALS} decimals is expected"
        )
    return text


_DECIMALS: Final = 12
_WHOLE_DIGITS: Final = 15


def _flag(value: Any) -> Value:
    if not isinstance(value, bool):
        raise ValueError("true or false is expected")  # noqa: TRY004
    return value


def _scalar(value: Any) -> Value:
    """Return a value of a member of an object."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    raise ValueError("a string, a number, true or false is expected")


_VALUES: Final[Mapping[Kind, Callable[[Any], Value]]] = MappingProxyType(
    {
        Kind.TEXT: _text,
        Kind.NUMBER: _number,
        Kind.MONEY: _money,
        Kind.TIME: instant_us,
        Kind.FLAG: _flag,
        Kind.OBJECT: _scalar,
    }
)
