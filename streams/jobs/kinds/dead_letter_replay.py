"""``dead_letter_replay``: send the events of dead letters to their topic again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from pydantic_settings import BaseSettings, SettingsConfigDict

from clickhouse.errors import StoreError
from producers.control.kinds.dead_letter_replay import DeadLetterReplay
from producers.control.record import Change
from producers.dead_letter_replays import why_not_replayed
from producers.errors import ControlError
from producers.kafka.clients import new_producer, started, stopped
from streams.core.dead_letters.texts import describe_error, owner_of_event
from streams.core.jobs.book import Job
from streams.core.jobs.state import Failed, Outcome, Succeeded
from streams.jobs.kind import ControlJobKind, JobContext
from streams.jobs.settings import JobSettings
from tracemill.clock import now_us

_ROWS = (
    "SELECT id, stage, reason, detail, source_topic, source_partition, payload"
    " FROM dead_letters FINAL WHERE project_id = {project_id:String} AND id IN {ids:Array(String)}"
)


class DeadLetterReplaySettings(JobSettings, BaseSettings):
    """Limits of replaying dead letters."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_DEAD_LETTER_REPLAYS_", frozen=True)

    retry_schedule_s: tuple[float, ...] = (1, 5, 30, 300, 3_600)
    """Pauses between attempts. A job that fails after the last pause becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class DeadLetterReplayJob(Job):
    """The job of one request."""

    dead_letter_ids: tuple[str, ...]


class DeadLetterReplays(ControlJobKind[DeadLetterReplayJob]):
    """The kind ``dead_letter_replay``: one job per request.

    A repeated attempt sends the events again, which changes no total: an event replaces earlier
    copies of itself.
    """

    name = "dead_letter_replay"
    settings = DeadLetterReplaySettings

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    def jobs_of_change(self, change: Change) -> Iterable[DeadLetterReplayJob]:
        """Return the job of a request that is queued."""
        if not isinstance(change, DeadLetterReplay) or change.state != "queued":
            return ()
        return (
            DeadLetterReplayJob(
                id=change.id,
                target=change.project_id,
                project_id=change.project_id,
                created_us=change.created_us,
                dead_letter_ids=change.dead_letter_ids,
            ),
        )

    async def attempt(self, job: DeadLetterReplayJob) -> Outcome:
        """1. Read the dead letters. 2. Send their events. 3. Mark the request as done."""
        store = self.context.store
        assert store is not None, "dead letters are read from the store"
        try:
            rows = await store.query(
                _ROWS, {"project_id": job.project_id, "ids": list(job.dead_letter_ids)}
            )
        except StoreError as error:
            return Failed(describe_error(error), by_target=False)
        events = [row for row in rows if self._is_event_of(row, job.project_id)]
        producer = await self._started()
        for row in events:
            await producer.send_and_wait(
                self.context.kafka.topics.events,
                row["payload"].encode(),
                partition=int(row["source_partition"]),
            )
        ended = {"state": "done", "sent": len(events), "ended_us": now_us()}
        try:
            await self.context.control.update(
                DeadLetterReplay, job.id, lambda held: held.model_copy(update=ended)
            )
        except ControlError as error:
            return Failed(describe_error(error), by_target=False)
        return Succeeded(f"{len(events)} events were sent")

    def payload_of(self, job: DeadLetterReplayJob) -> bytes:
        """Return the ids of the dead letters."""
        return " ".join(job.dead_letter_ids).encode()

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await stopped(self._producer, self.limits.stop_timeout_s)

    def _is_event_of(self, row: dict[str, Any], project_id: str) -> bool:
        """Return whether a dead letter is a complete event of a project, from ``events``."""
        why = why_not_replayed(row["stage"], row["reason"], row["detail"], row["source_topic"])
        return (
            why is None
            and row["source_topic"] == self.context.kafka.topics.events
            and owner_of_event(row["payload"].encode()) == project_id
        )

    async def _started(self) -> AIOKafkaProducer:
        kafka = self.context.kafka
        async with self._starting:
            if self._producer is None:
                self._producer = await started(
                    lambda: new_producer(kafka, batch_bytes=kafka.record_max_bytes), kafka
                )
        return self._producer
