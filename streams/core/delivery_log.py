"""Describe attempts to deliver alerts as rows of the table ``delivery_log``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clickhouse.delivery_rows import DeliveryAttemptRow
from streams.core.jobs.book import Job
from streams.core.jobs.state import JobState

_STATUS: Final = {"done": "delivered"}


def public_id(job_id: str) -> str:
    """Return the id of a delivery in the API, which can be a segment of a path."""
    return job_id.replace("/", "~")


def attempt_row(
    job: Job,
    state: JobState,
    *,
    target_kind: str,
    alert_ids: Sequence[str],
    event: str,
    status_code: int | None,
    latency_ms: float,
    answer: str,
    is_test: bool = False,
) -> DeliveryAttemptRow:
    """Return the row of the attempt after which a job has ``state``.

    An attempt that is repeated after a crash has the same key, and a higher version.
    """
    status = _STATUS.get(state.status, state.status)
    if is_test and status == "dropped":
        status = "failed"
    return DeliveryAttemptRow(
        project_id=job.project_id,
        delivery_id=public_id(job.id),
        attempt=state.attempts,
        alert_ids=tuple(alert_ids),
        target_kind=target_kind,
        target_id=job.target,
        event=event,
        status=status,
        status_code=status_code or 0,
        latency_ms=latency_ms,
        answer=answer,
        detail=state.detail,
        created_us=job.created_us,
        attempted_us=state.updated_us,
        next_attempt_us=state.next_attempt_us if state.status == "pending" else 0,
        row_version=state.updated_us,
    )
