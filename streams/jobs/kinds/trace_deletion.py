"""``trace_deletion``: delete the scores of deleted traces, and later erase their rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from clickhouse.errors import StoreError
from clickhouse.trace_deletion_rows import TraceDeletionRow
from producers.kafka.clients import new_producer, started, stopped
from producers.kafka.topics import Topics
from streams.core.dead_letters.texts import describe_error
from streams.core.jobs.book import Job
from streams.core.jobs.state import Failed, Outcome, Postponed, Succeeded
from streams.deletion.log_progress import LogProgress
from streams.deletion.settings import TraceDeletionSettings
from streams.deletion.trace_deletion import TraceDeletions, parts_of
from streams.jobs.kind import JobContext, JobKind
from tracemill.clock import now_us

log = structlog.get_logger(__name__)

SECOND_US = 1_000_000
SPREAD_MAX_US = 1_800 * SECOND_US
"""Time within which the traces were deleted that are erased together (``TraceDeletions.erase``)."""


@dataclass(frozen=True, slots=True)
class TraceDeletionJob(Job):
    """The traces of one project that a record lists."""

    trace_ids: tuple[str, ...]
    deleted_us: int
    """When the first of them was deleted."""


class TraceDeletionJobs(JobKind[TraceDeletionJob]):
    """The kind ``trace_deletion``.

    Each rewrite of a partition costs as much for one trace as for many, so jobs that wait at the
    same time are completed together.
    """

    name = "trace_deletion"
    settings = TraceDeletionSettings

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        assert context.store is not None, "deleting rows needs the store"
        self._store = context.store
        self._own: TraceDeletionSettings = context.settings
        self._log = LogProgress(context.kafka, self._own.poll_s)
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._waiting: dict[str, TraceDeletionJob] = {}
        self._without_scores: set[str] = set()
        self._erased: set[str] = set()

    @classmethod
    def source(cls, topics: Topics) -> str:
        """Return the topic of deleted traces."""
        return topics.trace_deletions

    def jobs_of(self, record: ConsumerRecord) -> Iterable[TraceDeletionJob]:
        """Return one job for each project of a record."""
        jobs: dict[str, TraceDeletionJob] = {}
        for line in filter(None, record.value.split(b"\n")):
            row = msgspec.json.decode(line, type=TraceDeletionRow)
            job = jobs.get(row.project_id)
            if job is None:
                jobs[row.project_id] = TraceDeletionJob(
                    id=f"{row.project_id}/{row.row_version}/{row.trace_id}",
                    target=row.project_id,
                    project_id=row.project_id,
                    created_us=record.timestamp * 1_000,
                    trace_ids=(row.trace_id,),
                    deleted_us=row.deleted_us,
                )
            else:
                jobs[row.project_id] = replace(
                    job,
                    trace_ids=(*job.trace_ids, row.trace_id),
                    deleted_us=min(job.deleted_us, row.deleted_us),
                )
        return jobs.values()

    async def attempt(self, job: TraceDeletionJob) -> Outcome:
        """1. Delete the scores. 2. Wait until ``erase_after_s`` has passed. 3. Erase the rows."""
        self._waiting[job.id] = job
        try:
            async with self._lock:
                if job.id not in self._without_scores:
                    await self._delete_scores()
                due_us = self._due_us(job)
                if now_us() < due_us:
                    return Postponed("the scores are deleted", due_us)
                if job.id not in self._erased:
                    await self._erase(job)
        except StoreError as error:
            return Failed(describe_error(error), by_target=False)
        finally:
            self._waiting.pop(job.id, None)
        self._without_scores.discard(job.id)
        self._erased.discard(job.id)
        return Succeeded()

    def payload_of(self, job: TraceDeletionJob) -> bytes:
        """Return the traces."""
        return msgspec.json.encode({"project_id": job.project_id, "trace_ids": job.trace_ids})

    async def close(self) -> None:
        """Disconnect."""
        await self._log.close()
        if self._producer is not None:
            await stopped(self._producer, self.limits.stop_timeout_s)

    async def _delete_scores(self) -> None:
        """Delete the scores of all waiting jobs, when the store has all that arrived before."""
        jobs = [each for each in self._waiting.values() if each.id not in self._without_scores]
        await self._log.wait_until_processed()
        deletions = await self._deletions()
        for project_id in {each.project_id for each in jobs}:
            ids = [
                trace_id
                for each in jobs
                if each.project_id == project_id
                for trace_id in each.trace_ids
            ]
            limit, scores = self._own.scores_at_once_max, 0
            for part in parts_of(ids, self._own.traces_at_once_max):
                while deleted := await deletions.delete_scores(project_id, part):
                    scores += deleted
                    if deleted < limit:
                        break
                    await self._log.wait_until_processed()
            log.info("traces_deleted", project=project_id, traces=len(ids), scores=scores)
        self._without_scores |= {each.id for each in jobs}

    async def _erase(self, job: TraceDeletionJob) -> None:
        """Erase the rows of a job, together with those of waiting jobs of the project."""
        await asyncio.sleep(self._own.poll_s)  # the other jobs that are due begin to wait
        jobs, ids = [job], list(job.trace_ids)
        for each in self._waiting.values():
            is_near = abs(each.deleted_us - job.deleted_us) <= SPREAD_MAX_US // 2
            fits = len(ids) + len(each.trace_ids) <= self._own.traces_at_once_max
            if each is not job and each.project_id == job.project_id and is_near and fits:
                jobs.append(each)
                ids += each.trace_ids
        deletions, first_us = await self._deletions(), min(each.deleted_us for each in jobs)
        for part in parts_of(ids, self._own.traces_at_once_max):
            await deletions.erase(job.project_id, part, first_us)
        self._erased |= {each.id for each in jobs}

    def _due_us(self, job: TraceDeletionJob) -> int:
        """Return when to erase: at a multiple of ``erase_after_s``, so that jobs share a rewrite.

        This is the second one after the deletion at the latest.
        """
        interval_us = int(self._own.erase_after_s * SECOND_US)
        if not interval_us:
            return job.deleted_us
        return (job.deleted_us // interval_us + 2) * interval_us

    async def _deletions(self) -> TraceDeletions:
        if self._producer is None:
            kafka = self.context.kafka
            self._producer = await started(
                lambda: new_producer(kafka, batch_bytes=64 * 1024), kafka
            )
        return TraceDeletions(self.context.kafka, self._store, self._producer, self._own)
