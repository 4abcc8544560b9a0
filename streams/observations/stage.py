"""Stage 1 in Faust: one ``PartitionStage`` for every partition of the events topic that this worker has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import faust
import structlog
from aiokafka import TopicPartition
from faust.types import TP, EventT

from producers.settings import KafkaSettings
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import Tokens
from streams.observations import metrics
from streams.observations.partition import PartitionStage
from streams.observations.ports import History, Output
from streams.observations.settings import StreamsSettings
from streams.observations.source import SourceMessage
from streams.quarantine.log import QuarantineLog
from streams.quarantine.screen import Screen
from streams.runtime.lag import Watched

log = structlog.get_logger(__name__)


class ObservationsStage:
    """Starts and ends the work on partitions as they come and go; a failure anywhere in it is ``failed``."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: StreamsSettings,
        output: Output,
        history: History,
        prices: PriceBook,
        tokens: Tokens,
        quarantine: QuarantineLog | None = None,
    ) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._kafka = kafka
        self._settings = settings
        self._output = output
        self._history = history
        self._prices = prices
        self._tokens = tokens
        self._quarantine = quarantine
        self._partitions: dict[int, tuple[PartitionStage, asyncio.Task[None]]] = {}
        self._assigned = False

    @property
    def is_ready(self) -> bool:
        """Partitions were assigned, and each goes on where its output ends."""
        return self._assigned and all(
            stage.restored.is_set() for stage, _ in self._partitions.values()
        )

    def price_by(self, prices: PriceBook) -> None:
        """Later events cost what these prices say."""
        self._prices = prices
        for stage, _ in self._partitions.values():
            stage.price_by(prices)

    def watched(self) -> Iterator[Watched]:
        """Our partitions, to be watched for their lag."""
        for number, (stage, _) in list(self._partitions.items()):
            tp = TopicPartition(self._kafka.topics.events, number)
            yield Watched(tp, stage.lag, metrics.LAG_RECORDS, metrics.LAG_S, stage.position)

    async def take(self, event: EventT[bytes]) -> None:
        """A source record; waits while its partition has more than it can hold."""
        message = event.message
        held = self._partitions.get(message.partition)
        if held is None:
            return  # of a partition that has been given away: whoever has it reads it again
        await held[0].put(
            SourceMessage(
                message.offset,
                round(message.timestamp * 1_000) * 1_000,
                message.value or b"",
                event.ack,
            )
        )

    async def assign(self, partitions: Iterable[int]) -> None:
        """These are ours now; ones that we have already go on as they are."""
        for partition in partitions:
            if partition not in self._partitions:
                stage = PartitionStage(
                    partition,
                    self._kafka.topics,
                    self._kafka.project_partitions,
                    self._settings,
                    self._output,
                    self._history,
                    self._prices,
                    self._tokens,
                    self._kafka.record_max_bytes,
                    self._screen(partition),
                )
                task = asyncio.create_task(stage.run(), name=f"observations {partition}")
                task.add_done_callback(self._ended)
                self._partitions[partition] = (stage, task)
        self._assigned = True

    def _screen(self, partition: int) -> Screen | None:
        settings = self._settings
        # Folded but not acknowledged: chunks that wait, and those that are being written together.
        chunks = 2 * settings.chunks_in_flight_max + 2
        span_records = settings.chunk_records_max * chunks
        if self._quarantine is None:
            return None
        return Screen(self._quarantine, "events", partition, span_records)

    async def revoke(self, partitions: Iterable[int]) -> None:
        """These are somebody else's now. What was sent for them arrives before they begin to read it; nothing more is sent.

        Raises:
            TimeoutError: what was sent did not arrive in time: the process must end, or it would write behind the new owner's back.
        """
        going = {
            each: self._partitions.pop(each) for each in partitions if each in self._partitions
        }
        if not going:
            return
        log.info("partitions_revoked", partitions=sorted(going))
        async with asyncio.timeout(self._settings.revoke_timeout_s):
            await asyncio.gather(*(stage.stop_folding() for stage, _ in going.values()))
        for _, task in going.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in going.values()), return_exceptions=True)

    async def stop(self) -> None:
        """Let what is in flight arrive, as far as the time allows; a restart goes on from there in any case."""
        with contextlib.suppress(TimeoutError):
            await self.revoke(list(self._partitions))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self.failed.done():
            error = task.exception()
            self.failed.set_exception(error or RuntimeError("a partition ended by itself"))


def register_observations_stage(app: faust.App, stage: ObservationsStage, topic_name: str) -> None:
    """Feed ``stage`` with the events topic of ``app``."""
    topic = app.topic(topic_name, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, concurrency=1, name="observations")
    async def observations(stream: Any) -> None:
        async for event in stream.noack().events():
            await stage.take(event)

    follow_assignment(app, topic_name, stage.assign, stage.revoke)


PartitionsCallback = Callable[[Iterable[int]], Coroutine[Any, Any, None]]


def follow_assignment(
    app: faust.App, topic_name: str, assign: PartitionsCallback, revoke: PartitionsCallback
) -> None:
    """Tell a stage which partitions of its topic come (before their records do) and go."""

    @app.on_partitions_assigned.connect(weak=False)
    async def assigned(sender: object, partitions: set[TP], **_: object) -> None:  # noqa: ARG001
        await assign(sorted(tp.partition for tp in partitions if tp.topic == topic_name))

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(sender: object, partitions: set[TP], **_: object) -> None:  # noqa: ARG001
        await revoke(sorted(tp.partition for tp in partitions if tp.topic == topic_name))
