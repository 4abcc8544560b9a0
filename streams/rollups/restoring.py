"""Find the checkpoint from which a partition of stage 2 continues."""

from __future__ import annotations

import time
from typing import Final

import structlog
from aiokafka import TopicPartition

from streams.core.rollups.fold import Checkpoint, first_checkpoint
from streams.rollups.checkpoint import Progress, read_progress
from streams.rollups.context import StageContext
from streams.rollups.output import ProjectOutput

VERSIONS_PER_MS_BITS: Final = 20

log = structlog.get_logger(__name__)


async def progress_of(context: StageContext, output: ProjectOutput, partition: int) -> Progress:
    """Find the checkpoint of a partition, and wait until the store has all rows of its log.

    If the log is new, write its first checkpoint, then read the log again: another worker may have
    written an earlier one.
    """
    topics = context.kafka.topics
    while True:
        progress = await read_progress(context.kafka, partition)
        await context.sink.stored(progress.ends)
        output.begin(progress.ends[TopicPartition(topics.spend, partition)])
        if not progress.is_new:
            return progress
        await output.write_checkpoint(await checkpoint_of_new_log(context))


async def resume_checkpoint(
    progress: Progress, context: StageContext, partition: int
) -> Checkpoint:
    """Return the checkpoint that was found, or else the first checkpoint of a new log."""
    if progress.checkpoint is not None:
        return progress.checkpoint
    log.warning("progress_unknown", partition=partition)
    return await checkpoint_of_new_log(context)


async def checkpoint_of_new_log(context: StageContext) -> Checkpoint:
    """Return the first checkpoint of a new log, with versions above all stored ones."""
    latest = await context.reader.latest()
    version_base = time.time_ns() // 1_000_000 << VERSIONS_PER_MS_BITS
    return first_checkpoint(version_base, latest.windows_s, latest.spend_s)
