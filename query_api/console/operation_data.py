"""Read what the page of operations shows about stages, storage and jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from producers.control.kinds.dead_letter_replay import DeadLetterReplay
from query_api.console.optional import optional
from query_api.console.page import View
from query_api.v1.dead_letter_replays import replays_of, shown_replay
from query_api.v1.deliveries import DeliveryParameters, read_deliveries
from query_api.v1.jobs import JobParameters, read_jobs
from query_api.v1.pipeline import read_pipeline
from query_api.v1.storage import Storage, read_storage

JOBS_MAX: Final = 5
"""Maximum number of deliveries of each state, and of replays, that the page shows."""
OTHERS_MAX: Final = 10
"""Maximum number of the other jobs that the page shows."""
STATES_MAX: Final = 500
"""Maximum number of jobs that are read, among which are those of the replays."""
REPLAY: Final = DeadLetterReplay.kind


@dataclass(frozen=True, slots=True)
class StageRow:
    """A part of the way of an event, with what arrives at it and waits for it."""

    name: str
    """``events``, ``deltas`` or ``sink``."""
    topics: Sequence[Any]
    arrived_per_s: float
    processed_per_s: float
    lag_records: int
    oldest_us: float


def stages_of(view: View) -> list[StageRow]:
    """Return the stages in the order of the pipeline; none while their progress is unknown."""
    progress = read_pipeline(view.context).data
    streams = [each for each in progress if each.stage == "streams"]
    sink = [each for each in progress if each.stage == "sink"]
    parts = [*zip(("events", "deltas"), ([each] for each in streams), strict=False)]
    parts += [("sink", sink)] if sink else []
    return [
        StageRow(
            name=name,
            topics=found,
            arrived_per_s=sum(each.arrived_per_s for each in found),
            processed_per_s=sum(each.processed_per_s for each in found),
            lag_records=sum(each.lag_records for each in found),
            oldest_us=max(each.oldest_s for each in found) * 1_000_000,
        )
        for name, found in parts
    ]


@dataclass(frozen=True, slots=True)
class TableRow:
    """The use of both volumes by a table."""

    table: str
    hot_bytes: int
    cold_bytes: int
    rows: int
    first_day: Any
    last_day: Any
    overdue_parts: int


def tables_of(storage: Storage) -> list[TableRow]:
    """Return the tables, the largest first."""
    found: dict[str, list[Any]] = {}
    for use in storage.data:
        found.setdefault(use.table, []).append(use)
    rows = [
        TableRow(
            table=table,
            hot_bytes=sum(each.bytes for each in uses if each.volume == "hot"),
            cold_bytes=sum(each.bytes for each in uses if each.volume == "cold"),
            rows=sum(each.rows for each in uses),
            first_day=min((each.first_day for each in uses if each.first_day), default=None),
            last_day=max((each.last_day for each in uses if each.last_day), default=None),
            overdue_parts=sum(each.overdue_parts for each in uses),
        )
        for table, uses in found.items()
    ]
    return sorted(rows, key=lambda each: (-each.hot_bytes - each.cold_bytes, each.table))


async def storage_of(view: View) -> tuple[Storage, list[TableRow]]:
    """Read the use of storage. Raises like ``read_storage``."""
    storage = await read_storage(view.context)
    return storage, tables_of(storage)


async def jobs_of(view: View) -> list[Any]:
    """Read the newest deliveries that wait or failed, replays, erasures and other jobs.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    jobs: list[Any] = []
    for status in ("pending", "exhausted"):
        parameters = DeliveryParameters(limit=JOBS_MAX, status=status)
        deliveries, _ = await read_deliveries(view.context, view.project_id, parameters)
        jobs += [{"kind": "delivery", **optional(each)} for each in deliveries]
    found, _ = read_jobs(view.context, view.project_id, JobParameters(limit=STATES_MAX))
    others = [each for each in found if each.kind != REPLAY]
    jobs += [optional(each) for each in others[:OTHERS_MAX]]
    states = {each.id: each for each in found if each.kind == REPLAY}
    for replay in replays_of(view.context, view.project_id)[:JOBS_MAX]:
        job = states.get(replay.id)
        detail = job.detail if job is not None and job.state != "done" else ""
        jobs.append(
            {"kind": REPLAY, **optional(shown_replay(view.context, replay)), "detail": detail}
        )
    return sorted(jobs, key=lambda each: str(each["created_at"]), reverse=True)
