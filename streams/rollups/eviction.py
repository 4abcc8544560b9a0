"""Evicts cells that the store has from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.core.rollups.fold import ProjectFold
from streams.rollups import metrics
from streams.rollups.context import Surroundings

log = structlog.get_logger(__name__)


async def evict_all(
    partition: int, around: Surroundings, fold: ProjectFold, now_s: Callable[[], int]
) -> None:
    """Evict cells that are idle or too many, until cancelled; ``now_s`` is the broker's time."""
    settings, topics = around.settings, around.kafka.topics
    kinds = (
        ("windows", "window_cells_max", topics.windows, fold.windows, settings.window_cells_max),
        ("spend", "spend_cells_max", topics.spend, fold.spend, settings.spend_cells_max),
    )
    while True:
        await asyncio.sleep(settings.evict_interval_s)
        try:
            stored = await around.sink.committed(
                [TopicPartition(topic, partition) for _, _, topic, _, _ in kinds]
            )
        except KafkaError as error:
            log.warning("sink_progress_unknown", reason=repr(error))
            continue
        metrics.LIMIT_REACHED.labels("budget_periods_max").inc(fold.budgets.take_dropped())
        metrics.LIMIT_REACHED.labels("alerts_max").inc(around.alerted.take_forgotten())
        idle_before_s = now_s() - settings.resident_idle_s
        for kind, limit, topic, groups, cells_max in kinds:
            if groups.cell_count > cells_max:
                metrics.LIMIT_REACHED.labels(limit).inc()
            stored_to = stored[TopicPartition(topic, partition)]
            evicted = groups.evict(stored_to, cells_max=cells_max, idle_before_s=idle_before_s)
            metrics.EVICTED.labels(kind).inc(evicted)
            metrics.CELLS.labels(partition, kind).set(groups.cell_count)
