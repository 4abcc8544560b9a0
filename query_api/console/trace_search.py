"""Read the search of the traces page, such as `refund user:ada level:error cost>0.1`.

A word without a field searches the inputs of traces. Values with spaces are in double quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from query_api.errors import BadRequestError
from query_api.money import pico_of, usd_text
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition, Kind, Operator

TERMS_MAX: Final = 20
SEARCH_CHARS_MAX: Final = 2_000
_TERM: Final = re.compile(
    r"""(?:(?P<field>[A-Za-z_]+(?:\.[\w.-]+)?)(?P<sign>>=|<=|:|>|<|=))?"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>\S+))"""
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the search: its column, and how `:` compares it."""

    column: str
    operator: Operator = "eq"


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "name": Field("name", "matches"),
        "input": Field("input", "matches"),
        "output": Field("output", "matches"),
        "user": Field("userId"),
        "session": Field("sessionId"),
        "env": Field("environment"),
        "tag": Field("tags", "has_any"),
        "level": Field("level"),
        "release": Field("release"),
        "version": Field("version"),
        "id": Field("id"),
        "cost": Field("totalCost"),
        "latency": Field("latency"),
        "tokens": Field("totalTokens"),
        "observations": Field("observationCount"),
        "errors": Field("errorCount"),
        "metadata": Field("metadata"),
    }
)
_COMPARISONS: Final[Mapping[str, Operator]] = MappingProxyType(
    {":": "eq", "=": "eq", ">": "gt", ">=": "ge", "<": "lt", "<=": "le"}
)


def conditions_of(text: str) -> tuple[Condition, ...]:
    """Return the conditions of a search, all of which must be met.

    Raises:
        BadRequestError: a field or a value is invalid; the message names what is allowed.
    """
    if len(text) > SEARCH_CHARS_MAX:
        raise BadRequestError(f"q: must have at most {SEARCH_CHARS_MAX} characters", field="q")
    conditions = tuple(_conditions(text))
    if len(conditions) > TERMS_MAX:
        raise BadRequestError(f"q: must have at most {TERMS_MAX} terms", field="q")
    return conditions


def term(field: str, value: str) -> str:
    """Return the search term for a value of a field."""
    if re.fullmatch(r"[^\s\"\\]+", value):
        return f"{field}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{escaped}"'


def _conditions(text: str) -> Iterator[Condition]:
    for found in _TERM.finditer(text):
        value = found["plain"]
        if value is None:
            value = re.sub(r"\\(.)", r"\1", found["quoted"], flags=re.DOTALL)
        name, sign = found["field"], found["sign"]
        base, _, key = (name or "").partition(".")
        if name is None:
            yield Condition(TRACE_COLUMNS["input"], "matches", value)
        elif base.lower() in FIELDS:
            yield _condition(base.lower(), key, sign, value)
        elif sign == ":":
            allowed = tuple(FIELDS)
            message = f"q: {name[:64]!r} is not one of {', '.join(allowed)}"
            raise BadRequestError(message, field="q", allowed=allowed)
        else:  # not a field, such as `a=b`
            yield Condition(TRACE_COLUMNS["input"], "matches", found[0])


def _condition(name: str, key: str, sign: str, value: str) -> Condition:
    field = FIELDS[name]
    column = TRACE_COLUMNS[field.column]
    match column.kind:
        case Kind.NUMBER:
            return Condition(column, _COMPARISONS[sign], _number(name, value))
        case Kind.MONEY:
            return Condition(column, _COMPARISONS[sign], _money(name, value))
        case Kind.OBJECT:
            if not key:
                raise BadRequestError("q: write metadata.KEY:VALUE", field="q")
            return Condition(column, "eq", value, key)
    if sign not in {":", "="}:
        raise BadRequestError(f"q: {name} is a text; write {name}:VALUE", field="q")
    if column.kind is Kind.LIST:
        return Condition(column, field.operator, (value,))
    if name == "level":
        value = value.upper()
    return Condition(column, "eq" if sign == "=" else field.operator, value)


def _number(name: str, text: str) -> float:
    """Return a number; latencies may have a unit, and are in seconds without one."""
    scale = 1.0
    if name == "latency":
        for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
            if text.endswith(unit):
                text, scale = text.removesuffix(unit), factor
                break
    try:
        number = float(text) * scale
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadRequestError(f"q: {name}: {text[:64]!r} is not a number", field="q")
    return number


def _money(name: str, text: str) -> str:
    try:
        return usd_text(pico_of(text.removeprefix("$")))
    except ValueError as error:
        raise BadRequestError(f"q: {name}: {error}", field="q") from error
