"""Stages 2 and 3 in a Faust worker: who owns which partition, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, cast

import faust
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from faust.types import TP, EventT, StreamT

from clickhouse.store import Store
from producers.control.kinds.budget import Budget
from producers.control.log import ControlLog
from producers.control.record import Change, Tombstone
from producers.kafka.clients import new_producer, started, stopped
from producers.settings import KafkaSettings
from streams.core.alerts.past_alerts import PastAlerts
from streams.core.dead_letters.texts import describe_error
from streams.core.rollups.deltas import partition_of_project
from streams.errors import ProgressUnknownError
from streams.quarantine.log import QuarantineLog
from streams.quarantine.screen import Screen
from streams.rollups import metrics
from streams.rollups.context import Surroundings
from streams.rollups.output import ProjectOutput
from streams.rollups.partition import ProjectPartition
from streams.rollups.reader import ProjectReader
from streams.rollups.settings import ProjectSettings
from streams.runtime.lag import Watched
from streams.runtime.log_gaps import next_record
from streams.runtime.log_tail import LogTail
from streams.runtime.restarts import keep_running
from streams.runtime.sink_progress import SinkProgress
from streams.runtime.suspension import SuspensionGuard

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
        guard: SuspensionGuard | None = None,
    ) -> None:
        self._quarantine = quarantine
        self._may_send = None if guard is None else guard.check
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
            next_record=self._next_record,
            seek=self._seek,
        )
        self._producer: AIOKafkaProducer | None = None
        self._owned: dict[int, ProjectPartition] = {}
        """The lives that take records now."""
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Connect; partitions come with the app's assignment.

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
        """Flush what was applied, within ``stop_timeout_s``, and disconnect."""
        await self.disown(set(self._owned))
        await self._alerts.stop()
        await self._sink.stop()
        if self._producer is not None:
            await stopped(self._producer, self._settings.stop_timeout_s)

    @property
    def restoring(self) -> list[int]:
        """Owned partitions that do not take records yet."""
        return [number for number, owned in self._owned.items() if not owned.restored]

    @property
    def is_ready(self) -> bool:
        """Partitions were assigned, and all of them take records."""
        return bool(self._owned) and not self.restoring

    def watched(self) -> Iterator[Watched]:
        """Our partitions, to be watched for their lag."""
        for number, owned in list(self._owned.items()):
            tp = TopicPartition(self._kafka.topics.deltas, number)
            yield Watched(tp, owned.lag, metrics.LAG_RECORDS, metrics.LAG_S, owned.position)

    async def take(self, event: EventT[bytes]) -> None:
        """Hand a record to its partition; one that is not ours any more is dropped, its owner reads it."""
        owned = self._owned.get(event.message.partition)
        if owned is not None:
            await owned.put(event)

    def own(self, partitions: Iterable[int]) -> None:
        """Begin with partitions that are ours now."""
        for number in partitions:
            if number in self._owned:
                continue
            self._owned[number] = self._new_partition(number)
            self._tasks[number] = asyncio.create_task(self._run(number), name=f"projects {number}")

    async def disown(self, partitions: set[int]) -> None:
        """End with partitions that are not ours any more."""
        numbers = partitions & self._owned.keys()
        leaving = [self._owned.pop(number) for number in numbers]
        tasks = [self._tasks.pop(number) for number in numbers]
        for partition, task in zip(leaving, tasks, strict=True):
            if partition.restored:
                partition.finish()
            else:
                task.cancel()
        if leaving:
            _, unfinished = await asyncio.wait(tasks, timeout=self._settings.stop_timeout_s)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _new_partition(self, number: int, read_again_to: int | None = None) -> ProjectPartition:
        assert self._producer is not None, "start() comes first"
        kafka = self._kafka
        output = ProjectOutput(
            self._producer,
            kafka.topics,
            number,
            self._settings.output_record_bytes,
            kafka.record_max_bytes,
        )
        return ProjectPartition(number, self._around, output, self._screen(number), read_again_to)

    def _screen(self, partition: int) -> Screen | None:
        settings = self._settings
        # What may be applied but not flushed, and what waits to be applied.
        span_records = settings.unacknowledged_records_max + settings.batch_records_max
        if self._quarantine is None:
            return None
        return Screen(self._quarantine, "deltas", partition, span_records)

    async def _run(self, number: int) -> None:
        """Run a partition. One that fails begins again at its last marker, and ends nothing else.

        A failure of the broker, or one of which nobody knows where to begin again, ends the worker:
        its successor begins anew.
        """
        partition = self._owned[number]

        async def live() -> None:
            nonlocal partition
            if partition.ended:
                partition = self._new_partition(number, partition.received_to)
                if number in self._owned:
                    self._owned[number] = partition
            await _screened(partition)

        try:
            await keep_running(
                live,
                first_pause_s=self._settings.restart_pause_s,
                pause_max_s=self._settings.restart_pause_max_s,
                on_failure=lambda error, again_in_s: _failed(number, error, again_in_s),
            )
        except Exception as error:
            log.exception("partition_failed", partition=number)
            await self._app.crash(error)

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
        return [budget for budget in budgets if self._partition_of(budget.project_id) == partition]

    def _control_changed(self, change: Change) -> None:
        if isinstance(change, Budget):
            owned = self._owned.get(self._partition_of(change.project_id))
            if owned is not None:
                owned.put_budget(change)
        elif isinstance(change, Tombstone) and change.kind == "budget":
            for partition in self._owned.values():
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
    guard: SuspensionGuard | None = None,
) -> ProjectStage:
    """Let ``app`` run stages 2 and 3 on the topic ``deltas``."""
    topic = kafka.topics.deltas
    stage = ProjectStage(app, kafka, store, control, settings, quarantine, guard)

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


async def _screened(partition: ProjectPartition) -> None:
    """Run one life of a partition, and say how it ended."""
    screen = partition.screen
    try:
        await partition.run()
    except Exception as error:
        if screen is not None:
            await screen.end(error)
        raise
    if screen is not None:
        await screen.end()


def _failed(number: int, error: Exception, again_in_s: float) -> None:
    """Count and log a failure that its partition survives.

    Raises:
        Exception: ``error``, if it ends the worker.
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
