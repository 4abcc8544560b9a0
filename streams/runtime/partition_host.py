"""Run a stage in a Faust worker: one ``PartitionWorker`` for each partition of its topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import faust
import structlog
from aiokafka import TopicPartition
from faust.types import TP, EventT, StreamT
from prometheus_client import Gauge

from streams.runtime.lag import Watched
from streams.runtime.overflow import Overflow
from streams.runtime.partition_worker import PartitionWorker, SourceMessage
from streams.runtime.restarts import keep_running

log = structlog.get_logger(__name__)

WorkerT = TypeVar("WorkerT", bound=PartitionWorker)


@dataclass(frozen=True, slots=True)
class Restarts:
    """The policy of restarting a failed partition without stopping the others.

    Attributes:
        first_pause_s: pause after the first failure; each further failure doubles it.
        pause_max_s: maximum pause.
        on_failure: called with the partition, the exception and the pause before the restart. It
            raises the exception if the whole stage must end.
    """

    first_pause_s: float
    pause_max_s: float
    on_failure: Callable[[int, Exception, float], None]


@dataclass(frozen=True, slots=True)
class StageSpec(Generic[WorkerT]):
    """The definition of a stage.

    Attributes:
        name: name of the Faust agent, and of the stage in logs.
        topic: the topic that the stage reads.
        new_worker: creates the worker of a partition. The second argument is the partition's
            previous worker in this process if it failed, and otherwise None.
        lag_records: gauge of the unprocessed records, by partition.
        lag_s: gauge of the age of the oldest of them, by partition.
        finish_timeout_s: time limit for a revoked partition to write its pending results.
        restarts: None if the failure of one partition ends the stage.
        late_is_fatal: whether a partition that exceeds this time limit raises ``TimeoutError``
            instead of being cancelled. It is set for stages whose late writes could follow those of
            the partition's next worker.
    """

    name: str
    topic: str
    new_worker: Callable[[int, WorkerT | None], WorkerT]
    lag_records: Gauge
    lag_s: Gauge
    finish_timeout_s: float
    restarts: Restarts | None = None
    late_is_fatal: bool = False


class PartitionHost(Generic[WorkerT]):
    """The workers of a stage, which start and end as partitions are assigned and revoked.

    Attributes:
        failed: a future that gets the exception that ends the stage.
        workers: the running workers, by partition.
    """

    def __init__(self, spec: StageSpec[WorkerT]) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.workers: dict[int, WorkerT] = {}
        self._spec = spec
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._overflows: dict[int, Overflow] = {}
        self._app: faust.App | None = None
        self._is_assigned = False

    @property
    def is_ready(self) -> bool:
        """Return whether partitions were assigned, and all of them process records."""
        return self._is_assigned and all(each.is_restored for each in self.workers.values())

    def register(self, app: faust.App) -> None:
        """Add the stage's agent and rebalance listeners to ``app``."""
        self._app = app
        name = self._spec.topic
        topic = app.topic(name, key_serializer="raw", value_serializer="raw", value_type=bytes)

        @app.agent(topic, concurrency=1, name=self._spec.name)
        async def agent(stream: StreamT[bytes]) -> None:
            async for event in stream.noack().events():  # type: ignore[attr-defined]
                await self.take(event)

        @app.on_partitions_assigned.connect(weak=False)
        async def assigned(sender: object, partitions: set[TP], **_: object) -> None:  # noqa: ARG001
            self.assign(sorted(tp.partition for tp in partitions if tp.topic == name))

        @app.on_partitions_revoked.connect(weak=False)
        async def revoked(sender: object, partitions: set[TP], **_: object) -> None:  # noqa: ARG001
            await self.revoke(sorted(tp.partition for tp in partitions if tp.topic == name))

    def watched(self) -> Iterator[Watched]:
        """Yield the assigned partitions, to measure their lag and detect stalls."""
        spec = self._spec
        for number, worker in list(self.workers.items()):
            tp = TopicPartition(spec.topic, number)
            yield Watched(tp, worker.lag, spec.lag_records, spec.lag_s, worker.position)

    async def take(self, event: EventT[bytes]) -> None:
        """Pass a record to its worker; drop records of revoked partitions."""
        message = event.message
        worker = self.workers.get(message.partition)
        if worker is None:
            return
        append_us = round(message.timestamp * 1_000) * 1_000
        source = SourceMessage(message.offset, append_us, message.value or b"", event.ack)
        overflow = self._overflows.get(message.partition)
        if overflow is not None and not overflow.has_ended:
            overflow.add(source)
        elif worker.is_full:
            self._new_overflow(message.partition).add(source)
        else:
            await worker.put(source)

    def _new_overflow(self, number: int) -> Overflow:
        """Begin to keep the records of a partition whose worker is full."""
        assert self._app is not None, "register() was not called"
        consumer, tp = self._app.consumer, TP(self._spec.topic, number)

        async def put(message: SourceMessage) -> None:
            if number in self.workers:
                await self.workers[number].put(message)

        overflow = self._overflows[number] = Overflow(
            put,
            # Unlike ``pause_partitions``, this does not drop records that were already fetched.
            pause=lambda: consumer.on_buffer_full(tp),
            resume=lambda: consumer.on_buffer_drop(tp),
        )
        overflow.task.add_done_callback(self._overflow_ended)
        return overflow

    def assign(self, partitions: Iterable[int]) -> None:
        """Start workers for newly assigned partitions; the others keep running."""
        for number in partitions:
            if number not in self.workers:
                self.workers[number] = self._spec.new_worker(number, None)
                task = asyncio.create_task(self._run(number), name=f"{self._spec.name} {number}")
                task.add_done_callback(self._ended)
                self._tasks[number] = task
        self._is_assigned = True

    async def revoke(self, partitions: Iterable[int]) -> None:
        """End workers after they have written their pending results.

        Raises:
            TimeoutError: a worker exceeded ``finish_timeout_s``, and ``late_is_fatal`` is set.
        """
        numbers = [number for number in partitions if number in self.workers]
        if not numbers:
            return
        log.info("partitions_revoked", stage=self._spec.name, partitions=numbers)
        for number in numbers:
            overflow = self._overflows.pop(number, None)
            if overflow is not None:
                overflow.task.cancel()
        ending = [(self.workers.pop(number), self._tasks.pop(number)) for number in numbers]
        try:
            async with asyncio.timeout(self._spec.finish_timeout_s):
                await asyncio.gather(*(_end(worker, task) for worker, task in ending))
        except TimeoutError:
            if self._spec.late_is_fatal:
                raise
            tasks = [task for _, task in ending]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """End all workers; records whose results are not written in time are read again later."""
        with contextlib.suppress(TimeoutError):
            await self.revoke(list(self.workers))

    async def _run(self, number: int) -> None:
        restarts, worker = self._spec.restarts, self.workers[number]
        if restarts is None:
            await worker.run()
            return
        failed: WorkerT | None = None

        async def run_one() -> None:
            nonlocal worker, failed
            if failed is not None:
                worker = self._spec.new_worker(number, failed)
                if number in self.workers:
                    self.workers[number] = worker
            try:
                await worker.run()
            except Exception:
                failed = worker
                raise

        await keep_running(
            run_one,
            first_pause_s=restarts.first_pause_s,
            pause_max_s=restarts.pause_max_s,
            on_failure=lambda error, again_in_s: restarts.on_failure(number, error, again_in_s),
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if task in self._tasks.values() and error is None:
            error = RuntimeError(f"the task of partition {task.get_name()} ended unexpectedly")
        if error is not None:
            self._fail(task, error)

    def _overflow_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(task, error)

    def _fail(self, task: asyncio.Task[None], error: BaseException) -> None:
        if not self.failed.done():
            log.error("stage_failed", stage=self._spec.name, task=task.get_name(), exc_info=error)
            self.failed.set_exception(error)


async def _end(worker: PartitionWorker, task: asyncio.Task[None]) -> None:
    await worker.finish()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
