"""Follow the states of budgets, and how far the alerting stage has evaluated ``deltas``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from clickhouse.feeds.alert_states import FEED as ALERT_STATES
from clickhouse.feeds.budget_states import FEED as BUDGET_STATES
from producers.control.log import ControlLog
from producers.errors import ProducersError
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from producers.tiers.book import TierBook
from query_api import metrics
from query_api.decisions.book import DecisionBook
from query_api.settings import QuerySettings
from tracemill.clock import now_us

CHECKPOINT_KEY: Final = b"checkpoint"
INPUT_OFFSET: Final = "input_offset"
"""Key and header of the alerting stage's checkpoints on ``alert-states``
(``streams.alerting.checkpoint``)."""
SWEEP_INTERVAL_S: Final = 60.0

log = structlog.get_logger(__name__)


class BudgetStateFeed:
    """The readers that keep a ``DecisionBook`` current."""

    def __init__(self, kafka: KafkaSettings, settings: QuerySettings, book: DecisionBook) -> None:
        self._kafka = kafka
        self._settings = settings
        self._book = book
        self._partitions = [
            _Partition(number, kafka, settings, book) for number in range(kafka.project_partitions)
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the topics during the block; ``DecisionBook.is_ready`` when they are read.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        async with AsyncExitStack() as stack:
            for partition in self._partitions:
                stack.push_async_callback(partition.stop)
            await asyncio.gather(*(each.start() for each in self._partitions))
            tasks = [
                asyncio.create_task(self._become_ready(), name="budget states"),
                asyncio.create_task(self._sweep_regularly(), name="sweep of budget states"),
                *(
                    asyncio.create_task(each.watch(), name="freshness of budget states")
                    for each in self._partitions
                ),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _become_ready(self) -> None:
        await asyncio.gather(*(each.caught_up() for each in self._partitions))
        self._book.is_ready = True
        log.info("budget_states_read", states=len(self._book.states))

    async def _sweep_regularly(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            await self._book.sweep(now_us())


@asynccontextmanager
async def following_budgets(
    kafka: KafkaSettings, settings: QuerySettings, control: ControlLog, tiers: TierBook
) -> AsyncIterator[DecisionBook]:
    """Provide a book that follows the states of budgets during the block.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``.
    """
    book = DecisionBook(
        control,
        tiers,
        partitions=kafka.project_partitions,
        states_max=settings.budget_states_max,
    )
    async with BudgetStateFeed(kafka, settings, book).running():
        yield book


class _Partition:
    """One partition of ``budget-states``, and of ``alert-states`` with the checkpoints."""

    def __init__(
        self, number: int, kafka: KafkaSettings, settings: QuerySettings, book: DecisionBook
    ) -> None:
        topics = kafka.topics
        self._kafka = kafka
        self._interval_s = settings.decision_freshness_interval_s
        self._book = book
        self._freshness = book.freshness[number]
        self._deltas = TopicPartition(topics.deltas, number)
        self._states = TopicPartition(BUDGET_STATES.topic_in(topics), number)
        self._checkpoints = TopicPartition(ALERT_STATES.topic_in(topics), number)
        self._evaluated = 0
        self._reader = LogReader(
            kafka,
            self._states,
            self._apply,
            isolation="read_uncommitted",
            on_progress=partial(_show_lag, number),
            disconnected_max_s=kafka.broker_wait_s,
        )
        self._checkpoint_reader: LogReader | None = None

    async def start(self) -> None:
        """Start to read the states, and the checkpoints from the last one on."""
        await self._reader.start()
        end = await self._reader.end_of(self._checkpoints)
        self._checkpoint_reader = LogReader(
            self._kafka,
            self._checkpoints,
            self._note_checkpoint,
            isolation="read_uncommitted",
            begin=max(0, end - 1),
        )
        await self._checkpoint_reader.start()

    async def stop(self) -> None:
        """Stop reading."""
        if self._checkpoint_reader is not None:
            await self._checkpoint_reader.stop()
        await self._reader.stop()

    async def caught_up(self) -> None:
        """Return when all existing states have been read."""
        await self._reader.caught_up()

    async def watch(self) -> None:
        """Determine how current the states are, at intervals; failures are retried."""
        while True:
            with contextlib.suppress(KafkaError, ProducersError, TimeoutError):
                async with asyncio.timeout(self._kafka.request_timeout_s):
                    await self._update_freshness()
            await asyncio.sleep(self._interval_s)

    async def _update_freshness(self) -> None:
        """Compare the checkpoint with the end of ``deltas``.

        1. Note the end. 2. Take the last checkpoint that was read. 3. Wait until the states before
        it have been read: those before the end of their topic. 4. They are complete up to it.
        """
        at_us = now_us()
        self._freshness.ended_at(at_us, await self._reader.end_of(self._deltas))
        evaluated = self._evaluated
        await self._reader.read_up_to(await self._reader.end_of(self._states))
        self._freshness.evaluated(evaluated)

    def _apply(self, record: ConsumerRecord) -> None:
        if record.value is not None:
            self._book.states.apply(record.value, now_us())

    def _note_checkpoint(self, record: ConsumerRecord) -> None:
        if record.key == CHECKPOINT_KEY:
            self._evaluated = int(dict(record.headers)[INPUT_OFFSET]) + 1


def _show_lag(partition: int, next_offset: int, end: int) -> None:
    metrics.BUDGET_STATES_LAG.labels(partition).set(end - next_offset)
