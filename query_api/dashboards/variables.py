"""Define the dimensions by which variables of dashboards filter charts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from query_api.query.dimension import View

_OF_ALL: Final = ("user_id", "session_id", "tags", "experiment_name")
_OF_OBSERVATIONS: Final = (
    "model", "name", "type", "level", "provider", "service_tier", "prompt_name", "prompt_version",
    "version", "api_key",
)  # fmt: skip
_OF_TRACES: Final = {"trace_name": "name", "release": "release", "trace_version": "version"}


def _fields() -> dict[str, Mapping[View, str]]:
    found: dict[str, dict[View, str]] = {}
    for name in (*_OF_ALL, *_OF_OBSERVATIONS, *_OF_TRACES):
        found[name] = {"observations": name}
    for name in _OF_ALL:
        found[name] |= {"traces": name, "scores": name}
    for name, field in _OF_TRACES.items():
        found[name]["traces"] = field
    found["trace_name"]["scores"] = "trace_name"
    found["score_name"] = {"scores": "name"}
    found["source"] = {"scores": "source"}
    return {name: MappingProxyType(fields) for name, fields in found.items()}


DIMENSIONS: Final[Mapping[str, Mapping[View, str]]] = MappingProxyType(_fields())
"""Fields of filters of ``/v1/query`` by view. A chart of another view is not filtered."""
ENVIRONMENT: Final = "environment"
"""The dimension of all views by which every dashboard can be filtered, without a variable."""


def filtered(
    body: Mapping[str, Any], view: View, values: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Return the body of a query with the values of dimensions that are chosen.

    Dimensions that the view does not have, and those without values, do not filter.
    """
    by_value, others = dict(body.get("filter", {})), list(body.get("filters", []))
    for dimension, chosen in values.items():
        field = field_of(view, dimension)
        if not chosen or field is None:
            continue
        if field in by_value:  # both must hold
            others.append({"field": field, "operator": "in", "value": list(chosen)})
        else:
            by_value[field] = list(chosen)
    found = dict(body)
    if by_value:
        found["filter"] = by_value
    if others:
        found["filters"] = others
    return found


def field_of(view: View, dimension: str) -> str | None:
    """Return the field by which a dimension filters a view; None if the view does not have it."""
    if dimension == ENVIRONMENT:
        return ENVIRONMENT
    return DIMENSIONS.get(dimension, {}).get(view)
