"""Define query parameters that several lists of the Langfuse API share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from query_api.errors import BadRequestError
from query_api.numbers import Whole
from query_api.store.conditions import Column, Condition, Operator, Value
from query_api.store.filters import parse_filter
from tracemill.contract import Level, ObservationType, ScoreDataType, ScoreSource

PAGE_MAX: Final = 2**31
Text = Annotated[str, Field(max_length=2000)]
Texts = Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=100)]
"""List parameters; their limits keep URLs below the length that HTTP servers allow."""
CommaSeparated = Annotated[
    str, Field(max_length=8_000, description="One value, or several separated by commas.")
]


def _upper(given: Any) -> Any:
    return given.upper() if isinstance(given, str) else given


# Values of these parameters are accepted in any case.
TypeOfObservation = Annotated[ObservationType, BeforeValidator(_upper)]
LevelOfObservation = Annotated[Level, BeforeValidator(_upper)]
SourceOfScore = Annotated[ScoreSource, BeforeValidator(_upper)]
TypeOfScore = Annotated[ScoreDataType, BeforeValidator(_upper)]
FilterText = Annotated[
    str,
    Field(
        max_length=32_000,
        description="JSON array of `{type, column, operator, value[, key]}`. It takes precedence"
        " over the parameter of the same column. The type and column `positionInTrace` is the"
        " position of an observation in its trace; its `key` is `root`, `first`, `last`,"
        " `nthFromStart` or `nthFromEnd`.",
        examples=['[{"type":"string","column":"name","operator":"contains","value":"chat"}]'],
    ),
]


class LangfuseParameters(BaseModel):
    """Parameters with camel-case names. Unknown ones and empty values are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value not in ("", [], [""])}


class PageParameters(LangfuseParameters):
    page: Whole = Field(1, ge=1, le=PAGE_MAX)
    limit: Whole = Field(50, ge=1, le=100)

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.limit


def parts_of(text: str | None) -> tuple[str, ...]:
    """Split a comma-separated list, without empty parts."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def chosen_values(field: str, text: str | None, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values in a comma-separated list, which may have any case.

    Raises:
        BadRequestError: a value does not exist.
    """
    chosen = parts_of((text or "").upper())
    _require_known(field, chosen, values)
    return chosen


def _require_known(field: str, chosen: Iterable[str], allowed: tuple[str, ...]) -> None:
    unknown = next((each for each in chosen if each not in allowed), None)
    if unknown is not None:
        message = f"{field}: {unknown[:64]!r} is not one of {', '.join(allowed)}"
        raise BadRequestError(message, field=field, allowed=allowed)


def chosen_groups(
    fields: str | None, groups: tuple[str, ...], default: frozenset[str]
) -> frozenset[str]:
    """Return the groups of fields in a comma-separated list.

    Raises:
        BadRequestError: A group does not exist.
    """
    if not fields:
        return default
    named = frozenset(parts_of(fields))
    _require_known("fields", sorted(named), groups)
    return named


class ConditionList:
    """Conditions of parameters and of ``filter=``, which takes precedence for its columns."""

    def __init__(self, columns: Mapping[str, Column], filter_text: str | None) -> None:
        self._columns = columns
        self._filtered = parse_filter(filter_text, columns) if filter_text else {}
        self._conditions: list[Condition] = []

    def add(self, column: str, operator: Operator, value: Value) -> None:
        """Add a condition, unless the value is absent or ``filter=`` has the column."""
        if value is None or value == () or column in self._filtered:
            return
        self._conditions.append(Condition(self._columns[column], operator, value))

    def done(self) -> tuple[Condition, ...]:
        filtered = (condition for group in self._filtered.values() for condition in group)
        return (*self._conditions, *filtered)
