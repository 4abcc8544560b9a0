"""Write dead letters of jobs, and of records that a kind of job cannot process."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import DeadLetterRow
from producers.settings import KafkaSettings
from streams.core.dead_letters.set_aside import Source, dead_letter_of_error
from streams.core.dead_letters.texts import cut_to_json_bytes, describe_error, owner_of_event
from streams.core.jobs.book import Job
from streams.jobs.metrics import JobMetrics

log = structlog.get_logger(__name__)

RECORD_OVERHEAD_BYTES: Final = 64 * 1024
"""Upper bound of a record's size in addition to the payload of its row."""


def is_transient(error: BaseException) -> bool:
    """Return whether an exception is caused by the broker and not by the input."""
    return isinstance(error, KafkaError) and not isinstance(error, MessageSizeTooLargeError)


class JobDeadLetters:
    """The writer of one kind's dead letters; the same input always has the same id."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        kafka: KafkaSettings,
        *,
        stage: str,
        source: str,
        metrics: JobMetrics,
    ) -> None:
        self._producer = producer
        self._topic = kafka.topics.dead_letters
        self._row_bytes_max = kafka.record_max_bytes - RECORD_OVERHEAD_BYTES
        self._stage = stage
        self._source = source
        self._metrics = metrics

    async def record(self, record: ConsumerRecord, error: Exception) -> None:
        """Write the dead letter of a record of the source or of the states.

        Raises:
            KafkaError: the broker did not accept the dead letter.
        """
        self._metrics.set_aside("record")
        log.error(
            "record_set_aside",
            topic=record.topic,
            offset=record.offset,
            reason=describe_error(error),
        )
        payload = record.value or b""
        await self.send(
            dead_letter_of_error(
                stage=self._stage,
                identity=f"{record.topic}/{record.timestamp}/{sha256(payload).hexdigest()}",
                error=error,
                payload=payload,
                project_id=owner_of_event(payload),
                source=Source(
                    record.topic, record.partition, record.offset, record.timestamp * 1_000
                ),
                row_bytes_max=self._row_bytes_max,
            )
        )

    async def job(self, job: Job, key: str, payload: bytes, error: Exception) -> None:
        """Write the dead letter of a job whose attempt raised. Raises like ``record``.

        ``key`` is the key of the job's state.
        """
        self._metrics.set_aside("job")
        log.error("job_set_aside", job=key, reason=describe_error(error))
        await self.send(
            dead_letter_of_error(
                stage=self._stage,
                identity=key,
                error=error,
                payload=payload,
                project_id=job.project_id,
                source=Source(self._source, 0, -1, job.created_us),
                row_bytes_max=self._row_bytes_max,
            )
        )

    async def send(self, row: DeadLetterRow) -> None:
        """Write a dead letter, cut to the maximum size of a record. Raises like ``record``."""
        kept = cut_to_json_bytes(row.payload, self._row_bytes_max)
        if len(kept) < len(row.payload):
            self._metrics.limit_reached("record_max_bytes")
            row = msgspec.structs.replace(row, payload=kept)
        await self._producer.send_and_wait(self._topic, msgspec.json.encode(row), partition=0)
