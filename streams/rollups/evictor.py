"""Evict cells from memory when the store has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.core.rollups.fold import ProjectFold
from streams.rollups import metrics
from streams.rollups.context import StageContext

log = structlog.get_logger(__name__)


class Evictor:
    """A task that keeps the cells of one partition within the memory limits."""

    def __init__(
        self, partition: int, context: StageContext, fold: ProjectFold, now_s: Callable[[], int]
    ) -> None:
        """Create an evictor of the cells of ``fold``; ``now_s`` returns the broker's time."""
        settings, topics = context.settings, context.kafka.topics
        self._partition = partition
        self._context = context
        self._now_s = now_s
        self._fold = fold
        self._tables = (
            (
                "windows",
                topics.windows,
                fold.windows,
                "window_cells_max",
                settings.window_cells_max,
            ),
            ("spend", topics.spend, fold.spend, "spend_cells_max", settings.spend_cells_max),
        )

    async def run(self) -> None:
        """Evict cells that are idle or above the limit, at intervals, until cancelled."""
        context, partition = self._context, self._partition
        tables = [TopicPartition(topic, partition) for _, topic, _, _, _ in self._tables]
        while True:
            await asyncio.sleep(context.settings.evict_interval_s)
            try:
                stored = await context.sink.committed(tables)
            except KafkaError as error:
                log.warning("sink_progress_unknown", reason=repr(error))
                continue
            self._evict(stored)

    def _evict(self, stored: Mapping[TopicPartition, int]) -> None:
        context, partition = self._context, self._partition
        idle_before_s = self._now_s() - context.settings.resident_idle_s
        bins_max = context.settings.window_bins_max
        if self._fold.windows.count_bins() > bins_max:
            metrics.LIMIT_REACHED.labels("window_bins_max").inc()
        for table, topic, groups, limit, cells_max in self._tables:
            if groups.cell_count > cells_max:
                metrics.LIMIT_REACHED.labels(limit).inc()
            stored_to = stored[TopicPartition(topic, partition)]
            evicted = groups.evict(
                stored_to, cells_max=cells_max, idle_before_s=idle_before_s, bins_max=bins_max
            )
            metrics.EVICTED.labels(table).inc(evicted)
            metrics.CELLS.labels(partition, table).set(groups.cell_count)
