"""Scores pass through; the latest of an id stays."""

from __future__ import annotations

from zlib import crc32

from clickhouse.rows import ScoreRow
from streams.core.traces import DAY_US
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
    """When and in which version the scores of one partition were last written; the oldest entry makes room."""

    def __init__(self, scores_max: int) -> None:
        self._scores_max = scores_max
        self._latest: dict[tuple[str, str], tuple[int, int]] = {}

    def rows_of(self, score: Score) -> list[ScoreRow]:
        """What to write: nothing for a duplicate; after the row the deletion of an older one where its key differs."""
        row = row_of(score)
        key = (row.project_id, row.id)
        version, event_us = self._latest.get(key, (-1, row.event_us))
        if row.row_version <= version:
            return []
        if len(self._latest) >= self._scores_max and key not in self._latest:
            del self._latest[next(iter(self._latest))]
        self._latest[key] = (row.row_version, row.event_us)
        if event_us // DAY_US == row.event_us // DAY_US:
            return [row]
        return [row, _tombstone(row, event_us)]


def _tombstone(row: ScoreRow, old_event_us: int) -> ScoreRow:
    return ScoreRow(
        project_id=row.project_id,
        id=row.id,
        event_us=old_event_us,
        row_version=row.row_version,
        is_deleted=1,
    )
