"""Read older deltas of a partition again, for rules that need them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from producers.errors import ProducersError
from producers.kafka.clients import started, stopped
from producers.kafka.log_cursor import WhenTruncated, new_scan_consumer, records_between
from producers.settings import KafkaSettings
from streams.alerting import metrics
from streams.alerting.evaluation import Evaluation
from streams.core.alerting.evaluator import History
from streams.core.alerting.source_order import Applied, EarlierOrder

RECENT_US: Final = 900 * 1_000_000
"""The range that is read first, so that rules with short windows are complete soon."""
RETRY_S: Final = 1.0
"""Pause before a failed reading is repeated."""
STOP_TIMEOUT_S: Final = 2.0
RECORDS_PER_TURN: Final = 8
"""Records that are applied before other tasks run."""
PART_RECORDS: Final = 1_000
"""Records that are read before they are applied."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class HistoryReader:
    """A task that reads what the evaluators of a partition need; failures are retried."""

    def __init__(
        self, kafka: KafkaSettings, deltas: TopicPartition, evaluation: Evaluation
    ) -> None:
        self._kafka = kafka
        self._deltas = deltas
        self._evaluation = evaluation
        self._wanted = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stopped(consumer, STOP_TIMEOUT_S)

    def request(self) -> None:
        """Check soon whether an evaluator needs older deltas."""
        self._wanted.set()

    async def run(self, now_us: Callable[[], int]) -> None:
        """Read on request, until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while (history := self._evaluation.begin_history(now_us())) is not None:
                    await self._read(history, now_us())
                await self.close()
        finally:
            await self.close()

    async def _read(self, history: History, now_us: int) -> None:
        """Read the recent range, then the others; the later ones first."""
        upper, later = history.to_offset, Applied()
        starts = sorted({max(history.from_us, now_us - RECENT_US), history.from_us}, reverse=True)
        for from_us in starts:
            order = EarlierOrder(later)
            begin, lower = await self._retried(partial(self._bounds, from_us, upper))
            complete_us, position = from_us, lower
            while position < upper:
                records = await self._retried(partial(self._part, position, upper))
                if position == lower == begin > 0 and records:  # retention removed older ones
                    complete_us = max(from_us, records[0].timestamp * 1_000)
                await self._apply(records, order)
                position = records[-1].offset + 1 if len(records) == PART_RECORDS else upper
            upper, later = lower, order.first()
            self._evaluation.history_read(complete_us, is_last=from_us == starts[-1])

    async def _apply(self, records: list[ConsumerRecord], order: EarlierOrder) -> None:
        for number, record in enumerate(records, 1):
            self._evaluation.apply_history(
                record.offset, record.timestamp * 1_000, record.value or b"", order.is_new
            )
            if number % RECORDS_PER_TURN == 0:
                await asyncio.sleep(0)  # other stages share the event loop
        metrics.HISTORY_RECORDS.inc(len(records))

    async def _retried(self, read: Callable[[AIOKafkaConsumer], Awaitable[T]]) -> T:
        """Read with a consumer; after a failure, connect and read again."""
        while True:
            try:
                if self._consumer is None:
                    self._consumer = await started(
                        lambda: new_scan_consumer(self._kafka), self._kafka
                    )
                return await read(self._consumer)
            except (KafkaError, ProducersError, OSError, TimeoutError) as error:
                metrics.HISTORY_FAILURES.inc()
                log.warning("history_interrupted", reason=repr(error))
                await self.close()
                await asyncio.sleep(RETRY_S)

    async def _bounds(
        self, from_us: int, upper: int, consumer: AIOKafkaConsumer
    ) -> tuple[int, int]:
        """Return the first offset of the log, and the first one appended since ``from_us``."""
        begin = (await consumer.beginning_offsets([self._deltas]))[self._deltas]
        found = await consumer.offsets_for_times({self._deltas: max(0, from_us) // 1_000})
        at = found[self._deltas]
        return begin, min(upper, upper if at is None else max(begin, at.offset))

    async def _part(
        self, position: int, upper: int, consumer: AIOKafkaConsumer
    ) -> list[ConsumerRecord]:
        """Return up to ``PART_RECORDS`` records from an offset on."""
        records: list[ConsumerRecord] = []
        async for record in records_between(
            consumer,
            self._deltas,
            position,
            upper,
            stall_timeout_s=self._kafka.log_stall_timeout_s,
            when_truncated=WhenTruncated.CONTINUE,
        ):
            records.append(record)
            if len(records) == PART_RECORDS:
                break
        return records
