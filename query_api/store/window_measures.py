"""Define the measures of windows, as SQL expressions over the rows of a step and group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from clickhouse.levels.schema import PERCENTILE_LEVELS, PERCENTILES_SUFFIX
from clickhouse.percentiles import of_merged

QUANTILES: Final = PERCENTILE_LEVELS
PERCENTILES: Final = tuple(f"p{quantile * 100:g}" for quantile in QUANTILES)


def _percentiles_sql(quantiles: str, name: str) -> str:
    """Return the SQL of an object with percentiles, which are a thousandth of the quantiles.

    The store divides and rounds, because that takes longer than anything else in Python.
    """
    rounded = f"arrayMap(q -> round(q / 1000, 3), {quantiles})"
    values = [f"({rounded} AS {name})[1]"]
    values += [f"{name}[{at}]" for at in range(2, len(QUANTILES) + 1)]
    names = ", ".join(f"{name} Float64" for name in PERCENTILES)
    return f"CAST(tuple({', '.join(values)}), 'Tuple({names})')"


_SKETCHED: Final = MappingProxyType(
    {"latency_ms": "latency", "ttft_ms": "ttft", "output_tokens_per_s": "rate"}
)
"""Measures with percentiles, and the columns with their sketches or quantiles, without suffix."""
MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "count": "sum(observation_count)",
        "errors": "sum(error_count)",
        "error_types": "sumMap(error_types)",
        "cost_usd": "toString(sum(total_cost))",
        "unpriced": "sum(unpriced_count)",
        "tokens": "sumMap(mapApply((k, v) -> (k, toInt128(v)), usage))",
        "latency_ms": _percentiles_sql(of_merged("latency_state", QUANTILES), "latency"),
        "ttft_ms": _percentiles_sql(of_merged("ttft_state", QUANTILES), "ttft"),
        "output_tokens_per_s": _percentiles_sql(of_merged("rate_state", QUANTILES), "rate"),
        "cache_exact": "sum(cache_exact_count)",
        "cache_semantic": "sum(cache_semantic_count)",
        "cache_miss": "sum(cache_miss_count)",
        "cached_saved_usd": "toString(sum(cached_saved))",
        "app_saved_usd": "toString(sum(app_saved))",
    }
)
_OF_SINGLE_ROWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **MEASURES,
        **{
            measure: _percentiles_sql(f"any({name}{PERCENTILES_SUFFIX})", name)
            for measure, name in _SKETCHED.items()
        },
    }
)
"""Measures of steps and groups that are single rows, which have their percentiles."""
OF_CACHES: Final = (
    *("tokens", "cache_exact", "cache_semantic", "cache_miss"),
    *("cached_saved_usd", "app_saved_usd"),
)


_COLUMN: Final = re.compile(
    r"\b(?:\w+_(?:count|state|percentiles|saved)|error_types|total_cost|usage)\b"
)
_OF_EVERY_QUERY: Final = ("observation_count", "total_cost")
"""Columns that show whether a step is empty."""


def columns_of(measures: Iterable[str], *, is_single: bool = False) -> tuple[str, ...]:
    """Return the columns of windows, or of single rows, that measures are computed from."""
    of_measures = _OF_SINGLE_ROWS if is_single else MEASURES
    found = (name for measure in measures for name in _COLUMN.findall(of_measures[measure]))
    return tuple(dict.fromkeys((*_OF_EVERY_QUERY, *found)))


def measures_sql(measures: Iterable[str], *, is_single: bool = False) -> str:
    """Return the selected columns; ``is_single``: each step and group is a single row."""
    of_measures = _OF_SINGLE_ROWS if is_single else MEASURES
    return ",\n".join(f"  {of_measures[name]} AS {name}" for name in measures)
