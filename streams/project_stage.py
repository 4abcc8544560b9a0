"""Stages 2 and 3 in a Faust worker: who owns which partition, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, cast

import faust
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.types import TP, EventT, StreamT

from clickhouse.store import Store
from producers.control.log import ControlLog
from producers.control.records import Budget, Change, Tombstone
from producers.kafka import new_producer, started, stopped
from producers.settings import KafkaSettings
from streams import project_metrics as metrics
from streams.core.alerts import PastAlerts
from streams.core.deltas import partition_of_project
from streams.lag import Watched
from streams.log_tail import LogTail
from streams.project_output import ProjectOutput
from streams.project_partition import ProjectPartition, Surroundings
from streams.project_reader import ProjectReader
from streams.project_settings import ProjectSettings
from streams.quarantine_log import QuarantineLog
from streams.screen import Screen
from streams.sink_progress import SinkProgress

log = structlog.get_logger(__name__)


class ProjectStage:
    """The partitions of ``deltas`` that this worker owns. ``start`` before the app, ``stop`` after it."""

    def __init__(
        self,
        app: faust.App,
        kafka: KafkaSettings,
        store: Store,
        control: ControlLog,
        settings: ProjectSettings,
        quarantine: QuarantineLog | None = None,
    ) -> None:
        self._quarantine = quarantine
        self._app = app
        self._kafka = kafka
        self._control = control
        self._settings = settings
        self._alerted = PastAlerts(settings.alerts_max)
        self._alerts = LogTail(kafka, kafka.topics.alerts, self._learn_alert)
        self._sink = SinkProgress(kafka, settings.sink_poll_s)
        self._around = Surroundings(
            kafka=kafka,
            settings=settings,
            reader=ProjectReader(store, settings),
            sink=self._sink,
            alerted=self._alerted,
            alerts_known=self._alerts.caught_up,
            budgets=self._budgets_of,
            earliest=self._earliest,
            seek=self._seek,
        )
        self._producer: AIOKafkaProducer | None = None
        self._owned: dict[int, tuple[ProjectPartition, asyncio.Task[None]]] = {}

    async def start(self) -> None:
        """Connect; partitions come with the app's assignment.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        self._producer = await started(
            lambda: new_producer(self._kafka, batch_bytes=self._settings.output_record_bytes),
            self._kafka,
        )
        await self._sink.start()
        await self._alerts.start()
        self._control.subscribe(self._control_changed)

    async def stop(self) -> None:
        """Flush what was applied, within ``stop_timeout_s``, and disconnect."""
        await self.disown(set(self._owned))
        await self._alerts.stop()
        await self._sink.stop()
        if self._producer is not None:
            await stopped(self._producer, self._settings.stop_timeout_s)

    @property
    def restoring(self) -> list[int]:
        """Owned partitions that do not take records yet."""
        return [number for number, (owned, _) in self._owned.items() if not owned.restored]

    @property
    def is_ready(self) -> bool:
        """Partitions were assigned, and all of them take records."""
        return bool(self._owned) and not self.restoring

    def watched(self) -> Iterator[Watched]:
        """Our partitions, to be watched for their lag."""
        for number, (owned, _) in self._owned.items():
            tp = TopicPartition(self._kafka.topics.deltas, number)
            yield Watched(tp, owned.lag, metrics.LAG_RECORDS, metrics.LAG_S)

    async def take(self, event: EventT[bytes]) -> None:
        """Hand a record to its partition; one that is not ours any more is dropped, its owner reads it."""
        owned = self._owned.get(event.message.partition)
        if owned is not None:
            await owned[0].put(event)

    def own(self, partitions: Iterable[int]) -> None:
        """Begin with partitions that are ours now."""
        for number in partitions:
            if number in self._owned:
                continue
            assert self._producer is not None, "start() comes first"
            output = ProjectOutput(
                self._producer, self._kafka.topics, number, self._settings.output_record_bytes
            )
            partition = ProjectPartition(number, self._around, output, self._screen(number))
            task = asyncio.create_task(self._run(partition), name=f"projects {number}")
            self._owned[number] = (partition, task)

    async def disown(self, partitions: set[int]) -> None:
        """End with partitions that are not ours any more."""
        leaving = [self._owned.pop(number) for number in partitions & self._owned.keys()]
        for partition, task in leaving:
            if partition.restored:
                partition.finish()
            else:
                task.cancel()
        if leaving:
            tasks = [task for _, task in leaving]
            _, unfinished = await asyncio.wait(tasks, timeout=self._settings.stop_timeout_s)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, partition: ProjectPartition) -> None:
        """A partition that breaks takes the worker down: its successor begins at the last marker."""
        screen = partition.screen
        try:
            await partition.run()
            if screen is not None:
                await screen.end()
        except Exception as error:
            log.exception("partition_failed", partition=partition.partition)
            if screen is not None:
                await screen.end(error)
            await self._app.crash(error)

    def _screen(self, partition: int) -> Screen | None:
        settings = self._settings
        # What may be applied but not flushed, and what waits to be applied.
        span_records = settings.unacknowledged_records_max + settings.batch_records_max
        if self._quarantine is None:
            return None
        return Screen(self._quarantine, "deltas", partition, span_records)

    async def _earliest(self, partition: int) -> int:
        tp = TP(self._kafka.topics.deltas, partition)
        return (await self._app.consumer.earliest_offsets(tp))[tp]

    async def _seek(self, partition: int, offset: int) -> None:
        await self._app.consumer.seek(TP(self._kafka.topics.deltas, partition), offset)

    def _learn_alert(self, record: ConsumerRecord) -> None:
        if record.key is None or record.value is None:
            return
        self._alerted.add(record.key.decode())

    def _budgets_of(self, partition: int) -> list[Budget]:
        budgets = self._control.view.budgets.values()
        return [budget for budget in budgets if self._partition_of(budget.project_id) == partition]

    def _control_changed(self, change: Change) -> None:
        if isinstance(change, Budget):
            owned = self._owned.get(self._partition_of(change.project_id))
            if owned is not None:
                owned[0].put_budget(change)
        elif isinstance(change, Tombstone) and change.kind == "budget":
            for partition, _ in self._owned.values():
                partition.remove_budget(change.id)

    def _partition_of(self, project_id: str) -> int:
        return partition_of_project(project_id, self._kafka.project_partitions)


def register_project_stage(
    app: faust.App,
    kafka: KafkaSettings,
    store: Store,
    control: ControlLog,
    settings: ProjectSettings,
    quarantine: QuarantineLog | None = None,
) -> ProjectStage:
    """Let ``app`` run stages 2 and 3 on the topic ``deltas``."""
    topic = kafka.topics.deltas
    stage = ProjectStage(app, kafka, store, control, settings, quarantine)

    @app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), name="projects")
    async def projects(stream: StreamT[bytes]) -> None:
        async for event in stream.noack().events():  # type: ignore[attr-defined]
            await stage.take(event)

    async def assigned(_: Any, tps: set[TP], **__: Any) -> None:
        stage.own(tp.partition for tp in tps if tp.topic == topic)

    async def revoked(_: Any, tps: set[TP], **__: Any) -> None:
        await stage.disown({tp.partition for tp in tps if tp.topic == topic})

    app.on_partitions_assigned.connect(cast("Any", assigned), weak=False)
    app.on_partitions_revoked.connect(cast("Any", revoked), weak=False)
    return stage
