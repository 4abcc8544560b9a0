"""Define the scope of a budget: values for some of the dimensions of spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import (
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from producers.dimensions.dimension import Dimension, as_is
from producers.dimensions.registry import REGISTRY
from query_api.body import Body

_DIMENSIONS: Final = {each.name: each for each in REGISTRY.all() if each.in_spend}


class _NormalScope(Body):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: object) -> object:
        """Replace aliases of dimensions, and lists of one text for those with arrays."""
        if not isinstance(given, dict):
            return given
        named = {REGISTRY.name_of(name): value for name, value in given.items()}
        if len(named) < len(given):
            return given  # the alias is refused as an unknown field
        return {name: _only_text(name, value) for name, value in named.items()}

    @field_validator(*_DIMENSIONS, check_fields=False)
    @classmethod
    def _normal(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Return a value in the normal form of stored events."""
        dimension = _DIMENSIONS[str(info.field_name)]
        if value is None or dimension.normal_form is as_is:
            return value
        normal = dimension.normal_form(value)
        if normal != value.lower():
            noun = dimension.name.replace("_", " ")
            message = f"{value[:64]!r} is not a valid {noun}; events with it have {normal!r}"
            raise ValueError(message)
        return normal


def _only_text(name: str, value: object) -> object:
    """Return the text of a list with one text, if the values of the dimension are arrays."""
    dimension = _DIMENSIONS.get(name)
    is_list = dimension is not None and dimension.is_array and isinstance(value, list)
    return value[0] if is_list and len(value) == 1 else value  # type: ignore[index, arg-type]


def _key_of(dimension: Dimension) -> tuple[Any, Any]:
    return str | None, Field(
        default=None,
        min_length=1,
        max_length=dimension.chars_max,
        description=dimension.scope_description,
    )


if TYPE_CHECKING:
    _Named = _NormalScope
else:
    _Named = create_model(
        "_Named",
        __base__=_NormalScope,
        **{name: _key_of(each) for name, each in _DIMENSIONS.items()},
    )


class BudgetScope(_Named):
    """Spend that counts: it must match all given values. If empty, all spend of the project."""
