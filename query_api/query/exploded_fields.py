"""Define dimensions and measures of observations by type of cost or usage, and by tool.

A row counts under each of its types or tools, and rows without any are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from query_api.query.dimension import USAGE, Dimension, Measure


def _parts(amounts: str) -> str:
    """Return SQL of amounts by type, without the total of others."""
    return f"mapFilter((k, v) -> k != 'total' OR length({amounts}) = 1, {amounts})"


def _type(amounts: str) -> str:
    return f"arrayJoin(mapKeys({_parts(amounts)}))"


_COST: Final = "if(length(cost) = 0 AND total_cost > 0, map('total', total_cost), cost)"
_OWN_COST: Final = f"if(s_id = '', arraySum(mapValues({_parts(_COST)})), 0)"
_OWN_USAGE: Final = f"toInt64(arraySum(mapValues({_parts(USAGE)})))"

EXPLODED_DIMENSIONS: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        "costType": Dimension(_type(_COST)),
        "usageType": Dimension(_type("usage")),
        "toolNames": Dimension("arrayJoin(mapKeys(tool_definitions))", is_full=True),
        "calledToolNames": Dimension("arrayJoin(arrayDistinct(tool_call_names))", is_full=True),
    }
)
EXPLODED_MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "costByType": Measure(_OWN_COST, "summaries", "money"),
        "usageByType": Measure(_OWN_USAGE, "summaries"),
        "toolDefinitions": Measure("toInt64(length(tool_definitions))", is_full=True),
        "toolCalls": Measure("toInt64(length(tool_calls))", is_full=True),
    }
)
_OF_TYPE: Final[Mapping[str, tuple[str, Measure]]] = MappingProxyType(
    {
        "costByType": (
            "costType",
            Measure(f"if(s_id = '', ({_COST})[{_type(_COST)}], 0)", "summaries", "money"),
        ),
        "usageByType": (
            "usageType",
            Measure(f"toInt64(({USAGE})[{_type('usage')}])", "summaries"),
        ),
    }
)
"""The dimension that makes a measure that of one type, and the SQL of that type."""


def of_type(name: str, measure: Measure, dimensions: Mapping[str, Dimension]) -> Measure:
    """Return a measure, which is that of one type if there is a row for each type."""
    dimension, exploded = _OF_TYPE.get(name, ("", measure))
    return exploded if dimension in dimensions else measure
