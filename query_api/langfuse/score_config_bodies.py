"""Define the request bodies of score configs, and check that their fields fit together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from producers.control.kinds.score_config import (
    CATEGORIES_MAX,
    DESCRIPTION_CHARS_MAX,
    LABEL_CHARS_MAX,
    NAME_CHARS_MAX,
    Category,
    ConfigDataType,
)
from query_api.body import Body, of_changes, require_unicode
from query_api.openapi.score_config_examples import (
    SCORE_CONFIG_CHANGE_EXAMPLE,
    SCORE_CONFIG_REQUEST_EXAMPLE,
)

BOOLEAN_CATEGORIES: Final = (Category(label="True", value=1), Category(label="False", value=0))

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NAME_CHARS_MAX,
        pattern=r"^[\w .()-]+$",
        description="Letters, digits, spaces and `_ . ( ) -`.",
    ),
]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class CategoryBody(Body):
    model_config = ConfigDict(extra="ignore", frozen=True)

    label: Annotated[str, AfterValidator(require_unicode)] = Field(
        min_length=1, max_length=LABEL_CHARS_MAX
    )
    value: Finite


class _ConfigBody(Body):
    """Fields that ``POST`` and ``PATCH`` share."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    categories: list[CategoryBody] | None = Field(
        None,
        max_length=CATEGORIES_MAX,
        description="Only for CATEGORICAL, which requires them. Labels and values are unique.",
    )
    min_value: Finite | None = Field(None, description="Only for NUMERIC.")
    max_value: Finite | None = Field(None, description="Only for NUMERIC.")
    description: Annotated[str, AfterValidator(require_unicode)] | None = Field(
        None, max_length=DESCRIPTION_CHARS_MAX
    )

    @field_validator("categories")
    @classmethod
    def _unique(cls, categories: list[CategoryBody] | None) -> list[CategoryBody] | None:
        for field in ("label", "value"):
            values = [getattr(each, field) for each in categories or ()]
            if len(set(values)) < len(values):
                raise ValueError(f"each {field} must occur once")
        return categories


class ScoreConfigBody(_ConfigBody):
    model_config = ConfigDict(json_schema_extra={"examples": [SCORE_CONFIG_REQUEST_EXAMPLE]})

    name: Name
    data_type: ConfigDataType

    @model_validator(mode="after")
    def _fits_data_type(self) -> Self:
        check_fields(self.data_type, self.categories, self.min_value, self.max_value)
        return self


class ScoreConfigChangeBody(_ConfigBody):
    """Absent fields do not change; ``null`` removes a bound or the description."""

    model_config = ConfigDict(json_schema_extra=of_changes(SCORE_CONFIG_CHANGE_EXAMPLE))

    name: Name | None = None
    is_archived: bool | None = Field(
        None, description="New scores cannot refer to an archived config."
    )


def check_fields(
    data_type: ConfigDataType,
    categories: Sequence[object] | None,
    min_value: float | None,
    max_value: float | None,
) -> None:
    """Check that a config has only fields of its data type.

    Raises:
        ValueError: it does not; the message names the field.
    """
    if data_type == "CATEGORICAL" and not categories:
        raise ValueError("categories: CATEGORICAL requires at least one")
    if data_type != "CATEGORICAL" and categories:
        raise ValueError(f"categories: not allowed for {data_type}")
    if data_type != "NUMERIC" and (min_value is not None or max_value is not None):
        raise ValueError(f"minValue, maxValue: not allowed for {data_type}")
    if min_value is not None and max_value is not None and min_value >= max_value:
        raise ValueError("maxValue: must be greater than minValue")


def categories_of(
    data_type: ConfigDataType, categories: Sequence[CategoryBody] | None
) -> tuple[Category, ...]:
    """Return the categories of a config; those of BOOLEAN are fixed."""
    if data_type == "BOOLEAN":
        return BOOLEAN_CATEGORIES
    return tuple(Category(label=each.label, value=each.value) for each in categories or ())
