"""Delete processed and stored records of the embedded broker before its disk is full.

Kafka's own ``retention.bytes`` deletes segments even if they have not been read. This module only
deletes closed segments whose records were all committed by their consumer groups, oldest first.
It keeps the last closed segment of topics whose end the streams read when they start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from clickhouse.feeds import FEEDS
from producers.disk import MIB, DiskSettings, Measure, levels_of, measured
from producers.errors import ProducersError
from producers.kafka.clients import new_admin, started
from producers.kafka.topics import Cleanup
from producers.settings import KafkaSettings

CHECK_INTERVAL_S: Final = 2.0
PRINT_INTERVAL_S: Final = 300.0
SHRINK_FACTOR: Final = 2
"""Records are deleted while free space is below this factor times the level ``floor``, which
``producers.disk`` describes."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment file of a partition's log."""

    partition: TopicPartition
    base_offset: int
    next_offset: int | None
    """First offset of the next segment; None for the segment that is being written."""
    size: int
    modified_s: float


def segments_below(log_dir: Path, topics: Iterable[str]) -> list[Segment]:
    """List the segments of ``topics`` in the broker's directory, by partition and offset."""
    wanted = set(topics)
    found: list[Segment] = []
    for directory in sorted(log_dir.glob("*-*")):
        topic, _, number = directory.name.rpartition("-")
        if topic not in wanted or not number.isdigit():
            continue
        files = []
        for path in sorted(directory.glob("*.log")):
            try:
                files.append((int(path.stem), path.stat()))
            except (OSError, ValueError):
                continue  # deleted in the meantime
        bases: list[int | None] = [base for base, _ in files[1:]]
        for (base, stat), following in zip(files, [*bases, None], strict=True):
            found.append(
                Segment(
                    TopicPartition(topic, int(number)), base, following, stat.st_size, stat.st_mtime
                )
            )
    return found


def deletable(
    segments: Iterable[Segment],
    committed: Mapping[TopicPartition, int],
    wanted_bytes: int,
    read_at_start: Container[str] = (),
) -> tuple[dict[TopicPartition, int], int]:
    """Return the offset up to which each partition can be deleted, and the bytes that this frees.

    It stops at ``wanted_bytes`` and keeps the last closed segment of the topics ``read_at_start``.
    """
    of_partition: dict[TopicPartition, list[Segment]] = {}
    for segment in segments:
        of_partition.setdefault(segment.partition, []).append(segment)
    candidates: list[Segment] = []
    for partition, ordered in of_partition.items():
        kept = 2 if partition.topic in read_at_start else 1  # the last one is open
        for segment in ordered[:-kept]:
            if segment.next_offset is None or segment.next_offset > committed.get(partition, 0):
                break
            candidates.append(segment)
    before: dict[TopicPartition, int] = {}
    freed = 0
    for segment in sorted(candidates, key=lambda each: (each.modified_s, each.base_offset)):
        if freed >= wanted_bytes:
            break
        assert segment.next_offset is not None
        before[segment.partition] = max(before.get(segment.partition, 0), segment.next_offset)
        freed += segment.size
    return before, freed


class LogRetention:
    """A task that deletes committed records of the embedded broker, whose log is in ``log_dir``."""

    def __init__(
        self,
        log_dir: Path,
        kafka: KafkaSettings,
        settings: DiskSettings,
        *,
        print_line: Callable[[str], None],
        measure: Measure = measured,
    ) -> None:
        self._log_dir = log_dir
        self._kafka = kafka
        self._settings = settings
        self._print_line = print_line
        self._measure = measure
        self._next_print_s = 0.0
        topics = kafka.topics
        self._read_at_start = {feed.topic_in(topics) for feed in FEEDS if feed.is_state}
        stored = tuple(
            feed.topic_in(topics) for feed in FEEDS if feed.topic.cleanup is Cleanup.DELETE
        )
        self._topics_of = {
            topics.streams_group: (topics.events, topics.deltas),
            topics.alerting_group: (topics.deltas,),
            topics.sink_group: stored,
        }
        """The topics that each consumer group must have read before records are deleted."""

    async def watch(self) -> None:
        """Call ``shrink`` every few seconds until cancelled; retry while the broker is down."""
        # aiokafka is silenced, because it logs each failed attempt to connect.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        while True:
            with contextlib.suppress(KafkaError, ProducersError, OSError, TimeoutError):
                await self.shrink()
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def shrink(self) -> int:
        """Delete committed records if ``excess`` is positive; return the bytes that this frees.

        Raises:
            KafkaError, BrokerUnavailableError: the broker did not respond.
        """
        topics = chain.from_iterable(self._topics_of.values())
        segments = await asyncio.to_thread(segments_below, self._log_dir, topics)
        wanted = self.excess(segments)
        if wanted <= 0 or not any(each.next_offset for each in segments):
            return 0
        admin = await started(lambda: new_admin(self._kafka), self._kafka)
        try:
            committed = await self.committed(admin, {each.partition for each in segments})
            before, freed = deletable(segments, committed, wanted, self._read_at_start)
            if before:
                await admin.delete_records(
                    {partition: RecordsToDelete(offset) for partition, offset in before.items()}
                )
        finally:
            await admin.stop()
        self._print_progress(wanted, freed)
        return freed

    async def committed(
        self, admin: AIOKafkaAdminClient, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return the offset before which all groups that read a partition have committed."""
        committed: dict[TopicPartition, int] = {}
        for group, topics in self._topics_of.items():
            offsets = await admin.list_consumer_group_offsets(group)
            for partition in partitions:
                if partition.topic in topics:
                    read_to = offsets[partition].offset if partition in offsets else 0
                    committed[partition] = min(committed.get(partition, read_to), read_to)
        return committed

    def excess(self, segments: Iterable[Segment]) -> int:
        """Return how many bytes to delete, because of the log's size or too little free space."""
        space = self._measure(self._log_dir)
        share = int(space.size * self._settings.log_max_share)
        shrink_at = levels_of(self._settings, space.size).floor * SHRINK_FACTOR
        return max(sum(each.size for each in segments) - share, shrink_at - space.free)

    def _print_progress(self, wanted: int, freed: int) -> None:
        now_s = asyncio.get_running_loop().time()
        if freed and now_s >= self._next_print_s:
            self._next_print_s = now_s + PRINT_INTERVAL_S
            self._print_line(
                f"deleted {freed // MIB} of {wanted // MIB} MiB of stored records of the "
                "broker (TRACEMILL_DISK_LOG_MAX_SHARE)"
            )
