"""Write the condition that a stored spend cell has a value of a dimension."""

from __future__ import annotations

from collections.abc import Mapping
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


def usual_spend_sql(scope: Mapping[str, str], project: str, start_s: str, end_s: str) -> str:
    """Return SQL that selects ``spent_pico`` by ``hour`` of the week in UTC.

    Args:
        scope: placeholders by dimension of spend.
        project: placeholder of the project.
        start_s: placeholder of the start, in seconds since the epoch.
        end_s: placeholder of the end.
    """
    conditions = "".join(f"\n  AND {has_value_sql(name, value)}" for name, value in scope.items())
    return (
        "SELECT intDiv(toUnixTimestamp(bucket_start), 3600) % 168 AS hour,\n"
        "  toInt128(sum(total_cost) * 1000000000000) AS spent_pico\n"
        f"FROM spend FINAL\nWHERE project_id = {project}"
        f"\n  AND bucket_start >= toDateTime({start_s}, 'UTC')"
        f"\n  AND bucket_start < toDateTime({end_s}, 'UTC'){conditions}\n"
        "GROUP BY hour"
    )
