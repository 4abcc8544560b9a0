"""Read users and sessions with the totals of their traces and their scores."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from query_api import metrics
from query_api.store.queries.owners import SCORE_VALUES_MAX, FindOwners, SumScoresOfOwners
from query_api.store.queries.totals import Owner
from query_api.store.reader import Reader


class OwnerRow(msgspec.Struct, kw_only=True):
    owner_id: str
    sort_text: str
    """Value by which the owners are sorted, as text."""
    traces: int
    cost_usd: str
    usage_sums: dict[str, int]
    observations: int
    errors: int
    unpriced: int
    """Number of observations without a known price."""
    first_us: int
    last_us: int
    latencies_ms: list[float | None]
    """Median, 95th percentile and maximum of the latency of traces."""
    mean_ms: float | None
    environments: list[str]
    first_environment: str
    others: list[str]
    """Users of a session, or sessions of a user."""
    other_count: int


class ScoreSums(msgspec.Struct, kw_only=True):
    owner_id: str
    name: str
    number: int
    mean: float | None
    counts: dict[str, int]


async def read_owners(reader: Reader, query: FindOwners) -> list[OwnerRow]:
    return await reader.rows(query, OwnerRow)


async def read_scores_of_owners(
    reader: Reader, project_id: str, owner: Owner, ids: Iterable[str], names_max: int
) -> dict[str, list[ScoreSums]]:
    """Read the scores of owners by name, for each owner the names with most scores."""
    wanted = tuple(ids)
    found: dict[str, list[ScoreSums]] = {owner_id: [] for owner_id in wanted}
    if not wanted:
        return found
    query = SumScoresOfOwners(project_id, owner, wanted, names_max)
    for row in await reader.rows(query, ScoreSums):
        most = sorted(row.counts.items(), key=lambda each: (-each[1], each[0]))
        row.counts = dict(most[:SCORE_VALUES_MAX])
        found[row.owner_id].append(row)
        if len(found[row.owner_id]) == names_max:
            metrics.LIMITS_REACHED.labels("owner_score_names_max").inc()
    return found
