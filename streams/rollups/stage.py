"""Run stages 2 and 3: a ``ProjectPartition`` for every partition of the topic ``deltas``."""

from __future__ import annotations

from collections.abc import Iterator

import faust
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from clickhouse.store import Store
from producers.control.kinds.budget import Budget
from producers.control.log import ControlLog
from producers.control.record import Change, Tombstone
from producers.kafka.clients import new_producer, started, stopped
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from streams.core.alerts.past_alerts import PastAlerts
from streams.core.dead_letters.texts import describe_error
from streams.core.rollups.deltas import partition_of_project
from streams.errors import ProgressUnknownError
from streams.quarantine.log import QuarantineLog
from streams.quarantine.screen import Screen
from streams.rollups import metrics
from streams.rollups.context import StageContext, is_evaluated_here
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
    """Stages 2 and 3: the partitions of ``deltas``, which ``host`` runs, and what they share.

    Call ``start`` before the Faust application starts, and ``stop`` after it has stopped.
    """

    def __init__(
        self,
        app: faust.App,
        kafka: KafkaSettings,
        store: Store,
        control: ControlLog,
        settings: ProjectSettings,
        quarantine: QuarantineLog | None = None,
        guard: SuspensionGuard | None = None,
    ) -> None:
        self._quarantine = quarantine
        self._may_send = None if guard is None else guard.check
        self._app = app
        self._kafka = kafka
        self._control = control
        self._settings = settings
        self._alerted = PastAlerts(settings.alerts_max)
        self._alerts = LogReader(
            kafka,
            TopicPartition(kafka.topics.alerts, 0),
            self._learn_alert,
            isolation="read_uncommitted",
        )
        self._sink = SinkProgress(kafka, settings.sink_poll_s)
        self._context = StageContext(
            kafka=kafka,
            settings=settings,
            reader=ProjectReader(store, settings),
            sink=self._sink,
            alerted=self._alerted,
            alerts_loaded=self._alerts.caught_up,
            budgets=self._budgets_of,
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
        await self._alerts.start()
        self._control.subscribe(self._control_changed)

    async def stop(self) -> None:
        """Flush all applied records within ``stop_timeout_s``, then disconnect."""
        await self.host.stop()
        await self._alerts.stop()
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

    def _learn_alert(self, record: ConsumerRecord) -> None:
        if record.key is None or record.value is None:
            return
        self._alerted.add(record.key.decode())

    def _budgets_of(self, partition: int) -> list[Budget]:
        budgets = self._control.view[Budget].values()
        return [
            budget
            for budget in budgets
            if self._partition_of(budget.project_id) == partition and is_evaluated_here(budget)
        ]

    def _control_changed(self, change: Change) -> None:
        if isinstance(change, Budget):
            owned = self.host.workers.get(self._partition_of(change.project_id))
            if owned is not None and is_evaluated_here(change):
                owned.put_budget(change)
            elif owned is not None:
                owned.remove_budget(change.id)
        elif isinstance(change, Tombstone) and change.kind == "budget":
            for partition in self.host.workers.values():
                partition.remove_budget(change.id)

    def _partition_of(self, project_id: str) -> int:
        return partition_of_project(project_id, self._kafka.project_partitions)


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
