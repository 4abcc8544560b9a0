"""Write the condition that a stored spend cell has a value of a dimension."""

from __future__ import annotations

from typing import Final

from producers.dimensions.registry import REGISTRY

_ARRAYS: Final = frozenset(each.name for each in REGISTRY.of_spend() if each.is_array)


def has_value_sql(dimension: str, placeholder: str) -> str:
    """Return SQL that is true if a dimension of spend has a value; an array must contain it.

    Args:
        dimension: name of a dimension in the registry, which is also that of its column.
        placeholder: the bound value.
    """
    if dimension in _ARRAYS:
        return f"has(JSONExtract({dimension}, 'Array(String)'), {placeholder})"
    return f"{dimension} = {placeholder}"
