"""Run stage 2: a ``ProjectPartition`` for every partition of the topic ``deltas``."""

from __future__ import annotations

from collections.abc import Iterator

import faust
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from clickhouse.store import Store
from producers.kafka.clients import new_producer, started, stopped
from producers.settings import KafkaSettings
from streams.core.dead_letters.texts import describe_error
from streams.errors import ProgressUnknownError
from streams.quarantine.log import QuarantineLog
from streams.quarantine.screen import Screen
from streams.rollups import metrics
from streams.rollups.context import StageContext
from streams.rollups.output import ProjectOutput
from streams.rollups.partition import ProjectPartition
from streams.rollups.reader import ProjectReader
from streams.rollups.settings import ProjectSettings
from streams.runtime.log_gaps import next_record
from streams.runtime.partition_host import PartitionHost, Restarts, StageSpec
from streams.runtime.sink_progress import SinkProgress
from streams.runtime.suspension import SuspensionGuard

log = structlog.get_logger(__name__)


class ProjectStage:
    """Stage 2: the partitions of ``deltas``, which ``host`` runs, and what they share.

    Call ``start`` before the Faust application starts, and ``stop`` after it has stopped.
    """

    def __init__(
        self,
        app: faust.App,
        kafka: KafkaSettings,
        store: Store,
        settings: ProjectSettings,
        quarantine: QuarantineLog | None = None,
        guard: SuspensionGuard | None = None,
    ) -> None:
        self._quarantine = quarantine
        self._may_send = None if guard is None else guard.check
        self._app = app
        self._kafka = kafka
        self._settings = settings
        self._sink = SinkProgress(kafka, settings.sink_poll_s)
        self._context = StageContext(
            kafka=kafka,
            settings=settings,
            reader=ProjectReader(store, settings),
            sink=self._sink,
            earliest=self._earliest,
            next_record=self._next_record,
            seek=self._seek,
        )
        self._producer: AIOKafkaProducer | None = None
        self.host = PartitionHost(
            StageSpec(
                name="projects",
                topic=kafka.topics.deltas,
                new_worker=self._new_partition,
                lag_records=metrics.LAG_RECORDS,
                lag_s=metrics.LAG_S,
                finish_timeout_s=settings.stop_timeout_s,
                restarts=Restarts(settings.restart_pause_s, settings.restart_pause_max_s, _failed),
            )
        )

    async def start(self) -> None:
        """Connect to Kafka; workers are created when partitions are assigned.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        self._producer = await started(
            lambda: new_producer(
                self._kafka,
                batch_bytes=self._settings.output_record_bytes,
                may_send=self._may_send,
            ),
            self._kafka,
        )
        await self._sink.start()

    async def stop(self) -> None:
        """Flush all applied records within ``stop_timeout_s``, then disconnect."""
        await self.host.stop()
        await self._sink.stop()
        if self._producer is not None:
            await stopped(self._producer, self._settings.stop_timeout_s)

    def _new_partition(self, number: int, failed: ProjectPartition | None) -> ProjectPartition:
        assert self._producer is not None, "start() was not called"
        kafka = self._kafka
        output = ProjectOutput(
            self._producer,
            kafka.topics,
            number,
            self._settings.output_record_bytes,
            kafka.record_max_bytes,
        )
        read_again_to = None if failed is None else failed.received_to
        return ProjectPartition(number, self._context, output, self._screen(number), read_again_to)

    def _screen(self, partition: int) -> Screen | None:
        settings = self._settings
        # Records that may be applied but not flushed, and records of the current batch.
        span_records = settings.unacknowledged_records_max + settings.batch_records_max
        if self._quarantine is None:
            return None
        return Screen(self._quarantine, "deltas", partition, span_records)

    async def _earliest(self, partition: int) -> int:
        tp = TP(self._kafka.topics.deltas, partition)
        return (await self._app.consumer.earliest_offsets(tp))[tp]

    async def _next_record(self, partition: int, offset: int) -> int:
        return await next_record(
            self._kafka, TopicPartition(self._kafka.topics.deltas, partition), offset
        )

    async def _seek(self, partition: int, offset: int) -> None:
        await self._app.consumer.seek(TP(self._kafka.topics.deltas, partition), offset)


def _failed(number: int, error: Exception, again_in_s: float) -> None:
    """Count and log the failure of a partition, which is restarted alone.

    Raises:
        Exception: ``error``, if it stops the whole process instead.
    """
    if any(isinstance(each, KafkaError | ProgressUnknownError) for each in _leaves(error)):
        raise error
    metrics.RESTARTS.inc()
    log.error(
        "partition_failed",
        partition=number,
        reason="; ".join(map(describe_error, _leaves(error))),
        again_in_s=round(again_in_s, 1),
        exc_info=error,
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
