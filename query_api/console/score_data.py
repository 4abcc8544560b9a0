"""Search scores, and read how their values are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from query_api.console.search import Field, Search
from query_api.context import AppContext
from query_api.store.columns import SCORE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.scores import DistributeScores

SCORE_SEARCH: Final = Search(
    SCORE_COLUMNS,
    {
        "name": Field("name"),
        "value": Field("value"),
        "text": Field("stringValue"),
        "type": Field("dataType", is_upper=True),
        "source": Field("source", is_upper=True),
        "comment": Field("comment", "matches"),
        "env": Field("environment"),
        "trace": Field("traceId"),
        "observation": Field("observationId"),
        "session": Field("sessionId"),
        "run": Field("datasetRunId"),
        "config": Field("configId"),
        "author": Field("authorUserId"),
        "user": Field("userId"),
        "tracename": Field("traceName"),
        "tag": Field("traceTags", "has_any"),
        "id": Field("id"),
    },
    words="comment",
)
HEIGHT: Final = 40
"""Height of a histogram, in units of its coordinates."""


class _Row(msgspec.Struct):
    name: str
    data_type: str
    count: int
    mean: float
    bins: list[tuple[float, float, float]]
    texts: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of a histogram; positions are shares of the width and of the height."""

    low: float
    high: float
    x: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """How the values of the scores of a name and type are distributed."""

    name: str
    data_type: str
    count: int
    mean: float
    bins: Sequence[Bin]
    """Of numbers."""
    shares: Sequence[tuple[str, float]]
    """Of categories, and of true and false: each with its share of all scores."""


async def read_distributions(
    context: AppContext, project_id: str, conditions: tuple[Condition, ...]
) -> list[Distribution]:
    """Return the distributions of the scores that meet the conditions, by name and type.

    Raises:
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    rows = await context.reader.rows(DistributeScores(project_id, conditions), _Row)
    return [_distribution(each) for each in rows]


def _distribution(row: _Row) -> Distribution:
    is_number = row.data_type == "NUMERIC"
    is_counted = row.data_type in {"CATEGORICAL", "BOOLEAN"}
    total = max(1, row.count)
    return Distribution(
        row.name,
        row.data_type,
        row.count,
        row.mean,
        _bins(row.bins) if is_number else (),
        [(text, min(1.0, count / total)) for text, count in row.texts] if is_counted else (),
    )


def _bins(bins: Sequence[tuple[float, float, float]]) -> list[Bin]:
    """Return bars whose areas are the numbers of scores, as the bins differ in width."""
    if not bins:
        return []
    low, high = bins[0][0], bins[-1][1]
    span = (high - low) or 1.0
    # A bin of a single value has no width; it is drawn as wide as an average one.
    widths = [max(upper - lower, span / (4 * len(bins))) for lower, upper, _ in bins]
    densities = [height / width for (_, _, height), width in zip(bins, widths, strict=True)]
    top = max(densities) or 1.0
    return [
        Bin(lower, upper, 100 * (lower - low) / span, 100 * width / span, HEIGHT * density / top)
        for (lower, upper, _), width, density in zip(bins, widths, densities, strict=True)
    ]
