"""Write dead letters for input that a partition of stage 2 cannot process, up to a limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from clickhouse.rows import DeadLetterRow
from producers.kafka.topics import Topics
from streams.core.dead_letters.limit import DeadLetterGuard, DeadLetterLimit
from streams.core.dead_letters.set_aside import Source, dead_letter_of_error
from streams.core.rollups.delta_record import (
    STAGE,
    DeltaRecord,
    dead_letter_of_delta,
    dead_letter_of_line,
)
from streams.core.rollups.fold import FailedDelta, FailedRow
from streams.rollups import metrics
from streams.rollups.output import ProjectOutput

log = structlog.get_logger(__name__)


class ProjectFailures:
    """A writer of dead letters, whose ids depend only on the input: replays write no others."""

    def __init__(
        self,
        output: ProjectOutput,
        topics: Topics,
        partition: int,
        limit: DeadLetterLimit,
        row_bytes_max: int,
    ) -> None:
        self._output = output
        self._topics = topics
        self._partition = partition
        self._row_bytes_max = row_bytes_max
        self._guard = DeadLetterGuard(limit, f"{topics.deltas}/{partition}")

    def record(
        self, record: DeltaRecord, failed: Sequence[FailedDelta], offset: int, at_us: int
    ) -> None:
        """Write dead letters for the failed parts of a record of ``deltas``.

        Raises:
            TooManyDeadLettersError: most of the input fails.
        """
        if record.failed or failed:
            source = Source(self._topics.deltas, self._partition, offset, at_us)
            for line in record.failed:
                self._set_aside("line", dead_letter_of_line(line, source, self._row_bytes_max))
            for delta in failed:
                self._set_aside("delta", dead_letter_of_delta(delta, source, self._row_bytes_max))
        applied = len(record.deltas) - len(failed)
        self._guard.observe(applied, len(record.failed) + len(failed), offset)

    def rows(self, failed: Iterable[FailedRow], offset: int, now_us: int) -> None:
        """Write dead letters for rows that cannot be written.

        ``offset`` is that of the last record that the rows contain.
        """
        for row in failed:
            topic = self._topics.windows if row.table == "windows" else self._topics.spend
            self._set_aside(
                "row",
                dead_letter_of_error(
                    stage=STAGE,
                    identity=f"{topic}/{row.project_id}/{row.key}/{row.version}",
                    error=row.error,
                    payload=row.key.encode(errors="replace"),
                    project_id=row.project_id,
                    source=Source(self._topics.deltas, self._partition, offset, now_us),
                    row_bytes_max=self._row_bytes_max,
                ),
            )

    def _set_aside(self, kind: str, row: DeadLetterRow) -> None:
        metrics.SET_ASIDE.labels(kind).inc()
        log.error(
            "set_aside",
            kind=kind,
            partition=self._partition,
            offset=row.source_offset,
            dead_letter=row.id,
            reason=row.detail,
        )
        self._output.dead_letter(row)
