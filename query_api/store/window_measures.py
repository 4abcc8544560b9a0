"""Define the measures of windows, as SQL expressions over the rows of a step and group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
PERCENTILES: Final = tuple(f"p{quantile * 100:g}" for quantile in QUANTILES)
_MERGED: Final = f"quantilesDDMerge(0.01, {', '.join(map(str, QUANTILES))})"


def _percentiles_sql(sketches: str) -> str:
    """Return the SQL of an object with percentiles, which are a thousandth of the sketches' values.

    The store divides and rounds, because that takes longer than anything else in Python.
    """
    rounded = f"arrayMap(q -> round(q / 1000, 3), {_MERGED}({sketches}))"
    found = sketches.removesuffix("_state")
    values = [f"({rounded} AS {found})[1]"]
    values += [f"{found}[{at}]" for at in range(2, len(QUANTILES) + 1)]
    names = ", ".join(f"{name} Float64" for name in PERCENTILES)
    return f"CAST(tuple({', '.join(values)}), 'Tuple({names})')"


MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "count": "sum(observation_count)",
        "errors": "sum(error_count)",
        "error_types": "sumMap(error_types)",
        "cost_usd": "toString(sum(total_cost))",
        "unpriced": "sum(unpriced_count)",
        "tokens": "sumMap(mapApply((k, v) -> (k, toInt128(v)), usage))",
        "latency_ms": _percentiles_sql("latency_state"),
        "ttft_ms": _percentiles_sql("ttft_state"),
        "output_tokens_per_s": _percentiles_sql("rate_state"),
        "cache_exact": "sum(cache_exact_count)",
        "cache_semantic": "sum(cache_semantic_count)",
        "cache_miss": "sum(cache_miss_count)",
        "cached_saved_usd": "toString(sum(cached_saved))",
        "app_saved_usd": "toString(sum(app_saved))",
    }
)
OF_CACHES: Final = (
    *("tokens", "cache_exact", "cache_semantic", "cache_miss"),
    *("cached_saved_usd", "app_saved_usd"),
)


_COLUMN: Final = re.compile(r"\b(?:\w+_(?:count|state|saved)|error_types|total_cost|usage)\b")
_OF_EVERY_QUERY: Final = ("observation_count", "total_cost")
"""Columns that show whether a step is empty."""


def columns_of(measures: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of windows that measures are computed from."""
    found = (name for measure in measures for name in _COLUMN.findall(MEASURES[measure]))
    return tuple(dict.fromkeys((*_OF_EVERY_QUERY, *found)))


def measures_sql(measures: Iterable[str]) -> str:
    """Return the selected columns."""
    return ",\n".join(f"  {MEASURES[name]} AS {name}" for name in measures)
