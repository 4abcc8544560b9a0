"""Convert scores to rows; older versions of a score are skipped."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

from clickhouse.rows import ScoreRow
from tracemill.contract import DEFAULT_ENVIRONMENT, Score, encode_event

_TIE_BITS = 12


def version_of(score: Score) -> int:
    """Return the version of a score; its content decides between scores made at the same time.

    A deletion outranks all of them.
    """
    if score.deleted:
        return version_of_time(score.ts_us + 1)
    tie = crc32(encode_event(score)) & ((1 << _TIE_BITS) - 1)
    return version_of_time(score.ts_us) | tie


def version_of_time(ts_us: int) -> int:
    """Return the lowest version of scores that were made at a time."""
    return max(ts_us, 0) << _TIE_BITS


def row_of(score: Score) -> ScoreRow:
    return ScoreRow(
        project_id=score.project_id,
        id=score.id,
        event_us=score.ts_us,
        row_version=version_of(score),
        is_deleted=int(score.deleted),
        name=score.name,
        data_type=score.data_type,
        value=score.value,
        string_value=score.string_value or "",
        trace_id=score.trace_id or "",
        observation_id=score.observation_id or "",
        session_id=score.session_id or "",
        dataset_run_id=score.dataset_run_id or "",
        source=score.source,
        environment=score.environment or DEFAULT_ENVIRONMENT,
        comment=score.comment or "",
        metadata=score.metadata or "",
        config_id=score.config_id or "",
        queue_id=score.queue_id or "",
        author_user_id=score.author_user_id or "",
    )


class LatestScores:
    """The last written version of each score of a partition.

    A forgotten score is written again; the store keeps the highest version of an id.

    Args:
        scores_max: scores to remember; the oldest is evicted.
        reached: counts evictions.
    """

    def __init__(self, scores_max: int, reached: Counter[str]) -> None:
        self._scores_max = scores_max
        self._reached = reached
        self._latest: dict[tuple[str, str], int] = {}

    def row_if_newer(self, score: Score) -> ScoreRow | None:
        """Return the row to write; None if this or a newer version was written before."""
        row = row_of(score)
        key = (row.project_id, row.id)
        written = self._latest.get(key)
        if written is None:
            if len(self._latest) >= self._scores_max:
                del self._latest[next(iter(self._latest))]
                self._reached["resident_scores_max"] += 1
        elif row.row_version <= written:
            return None
        self._latest[key] = row.row_version
        return row

    def forget(self, score: Score) -> None:
        """Drop a score whose row was not written, so that it counts as new again."""
        self._latest.pop((score.project_id, score.id), None)
