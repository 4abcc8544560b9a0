"""Write the SQL of percentiles: the value at the nearest rank, of sketches and of single values.

The percentile ``p`` of ``n`` values is the smallest value that at least ``p`` % of them do not
exceed: counted from one, that at rank ``ceil(q * n)``, where ``q`` is ``p / 100``. The store counts
from zero, and uses ``floor(q * (n - 1))`` for sketches, which hides the largest of a few values,
and ``floor(q * n)`` for exact values. With a slightly smaller level, the second one gives
``ceil(q * n) - 1``; the first one does, too, if the sketch has one more value that is larger than
all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

RANK_MARGIN: Final = 1e-9
"""Subtracted from levels; it is larger than rounding, and too small for fewer than 10^8 values."""
RELATIVE_ERROR: Final = 0.01
"""Maximum relative error of percentiles from sketches."""
SKETCH_TYPE: Final = f"quantilesDD({RELATIVE_ERROR}, 0.5, 0.95, 0.99)"
"""Aggregate function of the stored sketches; its levels do not matter for merging."""
_TOP: Final = "1e15"
"""The additional value: more than any latency in microseconds, or rate in thousandths."""
_LARGEST: Final = "9e14"


def level_sql(level: float) -> str:
    """Return the level that the store needs for the nearest rank."""
    return f"{level - RANK_MARGIN:.12g}"


def of_merged(column: str, levels: Sequence[float]) -> str:
    """Return the SQL of an array: percentiles of the merged sketches of a column; NaN if empty."""
    return _of_state(f"{_with('MergeState')}({column})", levels)


def of_rows(value: str, levels: Sequence[float]) -> str:
    """Return the SQL of an array: percentiles of the sketch of a value; NaN without values."""
    number = f"assumeNotNull(toFloat64({value}))"
    return _of_state(f"{_with('StateIf')}({number}, isNotNull({value}))", levels)


def exact(value: str, level: float) -> str:
    """Return the SQL of a percentile of all values; NaN without values."""
    return f"quantileExact({level_sql(level)})({value})"


def _of_state(state: str, levels: Sequence[float]) -> str:
    named = ", ".join(map(level_sql, levels))
    top = f"initializeAggregation('{_with('State')}', {_TOP})"
    found = f"arrayReduce('quantilesDDMerge({RELATIVE_ERROR}, {named})', [{state}, {top}])"
    return f"arrayMap(q -> if(q > {_LARGEST}, nan, q), {found})"


def _with(combinator: str) -> str:
    return SKETCH_TYPE.replace("quantilesDD", f"quantilesDD{combinator}")
