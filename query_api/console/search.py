"""Read the search of a list, such as `refund user:ada level:error cost>0.1`.

A word without a field searches the inputs. Values with spaces are in double quotes; `field:""`
selects the rows without a value.
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
from query_api.store.conditions import Column, Condition, Kind, Operator

TERMS_MAX: Final = 20
SEARCH_CHARS_MAX: Final = 2_000
_TERM: Final = re.compile(
    r"""(?:(?P<field>[A-Za-z_]+(?:\.[\w.-]+)?)(?P<sign>>=|<=|:|>|<|=))?"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>\S+))"""
)
_COMPARISONS: Final[Mapping[str, Operator]] = MappingProxyType(
    {":": "eq", "=": "eq", ">": "gt", ">=": "ge", "<": "lt", "<=": "le"}
)
_WITH_NONE: Final = frozenset({Kind.NUMBER, Kind.LIST})
"""Kinds of columns whose rows without a value are selected by an empty text."""
_UNITS_S: Final = (("ms", 0.001), ("s", 1.0), ("m", 60.0))


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a search: its column, and how `:` compares it."""

    column: str
    operator: Operator = "eq"
    is_duration: bool = False
    """Whether a number may have a unit of time; it is in seconds without one."""
    is_upper: bool = False
    """Whether values are upper case."""
    dimension: str = ""
    """The dimension of `/v1/query` whose values complete the field; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Search:
    """The fields of a list, and the column that a word without a field searches."""

    columns: Mapping[str, Column]
    fields: Mapping[str, Field]
    words: str = "input"

    def conditions_of(self, text: str) -> tuple[Condition, ...]:
        """Return the conditions of a search, all of which must be met.

        Of a text field that is repeated, one of the values is sufficient.

        Raises:
            BadRequestError: a field or a value is invalid; the message names what is allowed.
        """
        if len(text) > SEARCH_CHARS_MAX:
            raise BadRequestError(f"q: must have at most {SEARCH_CHARS_MAX} characters", field="q")
        conditions = tuple(self._conditions(text))
        if len(conditions) > TERMS_MAX:
            raise BadRequestError(f"q: must have at most {TERMS_MAX} terms", field="q")
        return tuple(_any_of_repeated(conditions))

    def starts(self) -> list[str]:
        """Return how a term of each field starts."""
        numbers = (Kind.NUMBER, Kind.MONEY)
        return [
            name + (">" if self.columns[field.column].kind in numbers else ":")
            for name, field in self.fields.items()
        ]

    def _conditions(self, text: str) -> Iterator[Condition]:
        for found in _TERM.finditer(text):
            value = _value_in(found)
            name, sign = found["field"], found["sign"]
            base, _, key = (name or "").partition(".")
            if name is None:
                yield Condition(self.columns[self.words], "matches", value)
            elif base.lower() in self.fields:
                yield self._condition(base.lower(), key, sign, value)
            elif sign == ":":
                allowed = tuple(self.fields)
                message = f"q: {name[:64]!r} is not one of {', '.join(allowed)}"
                raise BadRequestError(message, field="q", allowed=allowed)
            else:  # not a field, such as `a=b`
                yield Condition(self.columns[self.words], "matches", found[0])

    def _condition(self, name: str, key: str, sign: str, value: str) -> Condition:
        field = self.fields[name]
        column = self.columns[field.column]
        if not value and sign in {":", "="} and column.kind in _WITH_NONE:
            return Condition(column, "unset")
        match column.kind:
            case Kind.NUMBER:
                number = number_of(name, value, is_duration=field.is_duration)
                return Condition(column, _COMPARISONS[sign], number)
            case Kind.MONEY:
                return Condition(column, _COMPARISONS[sign], money_of(name, value))
            case Kind.OBJECT:
                if not key:
                    raise BadRequestError(f"q: write {name}.KEY:VALUE", field="q")
                return Condition(column, "eq", value, key)
        if sign not in {":", "="}:
            raise BadRequestError(f"q: {name} is a text; write {name}:VALUE", field="q")
        if column.kind is Kind.LIST:
            return Condition(column, field.operator, (value,))
        if field.is_upper:
            value = value.upper()
        return Condition(column, "eq" if sign == "=" else field.operator, value)


def _any_of_repeated(conditions: tuple[Condition, ...]) -> Iterator[Condition]:
    values: dict[Column, list[str]] = {}
    for each in conditions:
        if each.operator == "eq" and each.column.kind is Kind.TEXT:
            values.setdefault(each.column, []).append(str(each.value))
        else:
            yield each
    for column, found in values.items():
        if len(found) == 1:
            yield Condition(column, "eq", found[0])
        else:
            yield Condition(column, "in", tuple(dict.fromkeys(found)))


def terms_of(text: str) -> Iterator[tuple[str, str, str]]:
    """Return the terms of a search: field, sign and value. A word has neither field nor sign."""
    for found in _TERM.finditer(text):
        yield found["field"] or "", found["sign"] or "", _value_in(found)


def _value_in(found: re.Match[str]) -> str:
    plain: str | None = found["plain"]
    if plain is not None:
        return plain
    return re.sub(r"\\(.)", r"\1", found["quoted"], flags=re.DOTALL)


def term(field: str, value: str) -> str:
    """Return the search term for a value of a field."""
    if re.fullmatch(r"[^\s\"\\]+", value):
        return f"{field}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{escaped}"'


def number_of(name: str, text: str, *, is_duration: bool) -> float:
    """Return a number, or the seconds of a duration such as `250ms`.

    Raises:
        BadRequestError: it is neither.
    """
    scale = 1.0
    if is_duration:
        for unit, factor in _UNITS_S:
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


def money_of(name: str, text: str) -> str:
    """Return an amount as the API shows it. Raises: BadRequestError: it is none."""
    try:
        return usd_text(pico_of(text.removeprefix("$")))
    except ValueError as error:
        raise BadRequestError(f"q: {name}: {error}", field="q") from error
