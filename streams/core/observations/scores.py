"""Scores pass through; the latest of an id stays."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

from clickhouse.rows import ScoreRow
from tracemill.contract import DEFAULT_ENVIRONMENT, Score, encode_event

_TIE_BITS = 12


def version_of(score: Score) -> int:
    """Higher for a later score; of two made at the same time the content decides, so that their order does not matter."""
    tie = crc32(encode_event(score)) & ((1 << _TIE_BITS) - 1)
    return (max(score.ts_us, 0) << _TIE_BITS) | tie


def row_of(score: Score) -> ScoreRow:
    return ScoreRow(
        project_id=score.project_id,
        id=score.id,
        event_us=score.ts_us,
        row_version=version_of(score),
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
    """In which version the scores of one partition were last written: what is forgotten, is written again, and the store keeps the highest version of an id.

    Args:
        scores_max: how many are remembered; the oldest makes room.
        reached: counts how often one had to.
    """

    def __init__(self, scores_max: int, reached: Counter[str]) -> None:
        self._scores_max = scores_max
        self._reached = reached
        self._latest: dict[tuple[str, str], int] = {}

    def row_of_news(self, score: Score) -> ScoreRow | None:
        """What to write: nothing for a score that is known, or outranked."""
        row = row_of(score)
        key = (row.project_id, row.id)
        known = self._latest.get(key)
        if known is None:
            if len(self._latest) >= self._scores_max:
                del self._latest[next(iter(self._latest))]
                self._reached["resident_scores_max"] += 1
        elif row.row_version <= known:
            return None
        self._latest[key] = row.row_version
        return row

    def forget(self, score: Score) -> None:
        """Drop a score whose row was not written, so that it counts as new again."""
        self._latest.pop((score.project_id, score.id), None)
