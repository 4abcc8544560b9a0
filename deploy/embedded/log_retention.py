"""Deletes processed and stored records of the embedded broker before its disk is full.

Kafka's own ``retention.bytes`` deletes segments whether they were read or not. Here only closed
segments are deleted that lie wholly before what the streams and the sink have committed, oldest
first. The last closed segment stays of topics whose end the streams read when they start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError

from clickhouse.feeds import FEEDS
from producers.disk import MIB, DiskSettings, Measure, levels_of, measured
from producers.errors import ProducersError
from producers.kafka.clients import new_admin, started
from producers.kafka.topics import Cleanup
from producers.settings import KafkaSettings

LOOK_EVERY_S: Final = 2.0
SAID_EVERY_S: Final = 300.0
SHRINK_FACTOR: Final = 2
"""The log is shortened while the free space is below the floor times this."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a partition's log."""

    partition: TopicPartition
    base_offset: int
    next_offset: int | None
    """First offset of the following segment; None for the segment that is being written."""
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
                continue  # deleted meanwhile
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
    """Choose the offset of each partition to delete up to; also return the bytes that this frees.

    Stops at ``wanted_bytes``. The last closed segment of the topics ``read_at_start`` stays.
    """
    of_partition: dict[TopicPartition, list[Segment]] = {}
    for segment in segments:
        of_partition.setdefault(segment.partition, []).append(segment)
    candidates: list[Segment] = []
    for partition, ordered in of_partition.items():
        stay = 2 if partition.topic in read_at_start else 1  # the one being written always does
        for segment in ordered[:-stay]:
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
    """Shrinks the log of the embedded broker in ``log_dir``."""

    def __init__(
        self,
        log_dir: Path,
        kafka: KafkaSettings,
        settings: DiskSettings,
        *,
        say: Callable[[str], None],
        measure: Measure = measured,
    ) -> None:
        self._log_dir = log_dir
        self._kafka = kafka
        self._settings = settings
        self._say = say
        self._measure = measure
        self._next_word_s = 0.0
        topics = kafka.topics
        self._read_at_start = {feed.topic_in(topics) for feed in FEEDS if feed.is_state}
        self._by_streams = (topics.events, topics.deltas)
        self._by_sink = tuple(
            feed.topic_in(topics) for feed in FEEDS if feed.topic.cleanup is Cleanup.OLD
        )

    async def watch(self) -> None:
        """Check every few seconds, until cancelled; retries while the broker is down."""
        # Each failed attempt to connect would be a line on the terminal.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        while True:
            with contextlib.suppress(KafkaError, ProducersError, OSError, TimeoutError):
                await self.shrink()
            await asyncio.sleep(LOOK_EVERY_S)

    async def shrink(self) -> int:
        """Delete what may be deleted while the log is too large; return the bytes that are freed.

        Raises:
            KafkaError, BrokerUnavailableError: the broker did not answer.
        """
        segments = await asyncio.to_thread(
            segments_below, self._log_dir, (*self._by_streams, *self._by_sink)
        )
        wanted = self.excess(segments)
        if wanted <= 0 or not any(each.next_offset for each in segments):
            return 0
        admin = await started(lambda: new_admin(self._kafka), self._kafka)
        try:
            names = self._kafka.topics
            committed: dict[TopicPartition, int] = {}
            for group, topics in (
                (names.streams_group, self._by_streams),
                (names.sink_group, self._by_sink),
            ):
                offsets = await admin.list_consumer_group_offsets(group)
                committed |= {
                    partition: found.offset
                    for partition, found in offsets.items()
                    if partition.topic in topics
                }
            before, freed = deletable(segments, committed, wanted, self._read_at_start)
            if before:
                await admin.delete_records(
                    {partition: RecordsToDelete(offset) for partition, offset in before.items()}
                )
        finally:
            await admin.stop()
        self._tell(wanted, freed)
        return freed

    def excess(self, segments: Iterable[Segment]) -> int:
        """Return by how many bytes the log exceeds its share, or the space that must stay free."""
        space = self._measure(self._log_dir)
        share = int(space.size * self._settings.log_max_share)
        shrink_at = levels_of(self._settings, space.size).floor * SHRINK_FACTOR
        return max(sum(each.size for each in segments) - share, shrink_at - space.free)

    def _tell(self, wanted: int, freed: int) -> None:
        now_s = asyncio.get_running_loop().time()
        if freed and now_s >= self._next_word_s:
            self._next_word_s = now_s + SAID_EVERY_S
            self._say(
                f"the log shrinks by {freed // MIB} of {wanted // MIB} MiB: records that are stored "
                "(TRACEMILL_DISK_LOG_MAX_SHARE)"
            )
