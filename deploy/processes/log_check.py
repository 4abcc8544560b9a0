"""Check that the log in Kafka is the one that the store was filled from, and is complete."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from clickhouse.all_topics import topic_shapes
from clickhouse.errors import QueryRejected
from clickhouse.log_positions import LogPosition, read_positions
from clickhouse.store import Store
from deploy.errors import LogLostError
from producers.errors import BrokerUnavailableError
from producers.kafka.clients import new_admin, new_consumer, started, stopped
from producers.settings import KafkaSettings

SHOWN_MAX: Final = 3
STOP_TIMEOUT_S: Final = 2.0
REMEDY: Final = (
    "restore the broker's data, or run `tracemill recover` to rebuild the log from the store"
)


@dataclass(frozen=True, slots=True)
class LogState:
    """The current state of the log."""

    cluster_id: str
    ends: dict[TopicPartition, int]
    """End offset of every existing partition of tracemill's topics."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The current log, and the positions that the store has recorded."""

    now: LogState
    recorded: list[LogPosition]
    has_control_records: bool
    """Whether the store contains copies of control records."""
    faults: list[str] = field(default_factory=list)
    """Differences between both; empty if the log is the same and complete."""

    @property
    def is_other_cluster(self) -> bool:
        return any(each.cluster_id != self.now.cluster_id for each in self.recorded)


async def compare_log(kafka: KafkaSettings, store: Store) -> Comparison:
    """Compare the log with the positions that the store has recorded.

    Raises:
        BrokerUnavailableError: the broker did not respond.
        StoreUnavailable: the store did not respond.
    """
    all_recorded, has_records, now = await asyncio.gather(
        read_positions(store), _has_control_records(store), log_state(kafka)
    )
    topics = {shape.name for shape in topic_shapes(kafka)}
    recorded = [each for each in all_recorded if each.topic in topics]
    found = Comparison(now, recorded, has_records)
    if not all_recorded and has_records:  # an older version, which recorded no positions, wrote it
        if not now.ends.get(TopicPartition(kafka.topics.control, 0)):
            found.faults.append(f"topic {kafka.topics.control} is empty, the store has its records")
        return found
    if found.is_other_cluster:
        found.faults.append(
            f"the broker is cluster {now.cluster_id}, "
            f"the store was filled from {_old_cluster(found)}"
        )
    existing = {partition.topic for partition in now.ends}
    gone = sorted({each.topic for each in recorded} - existing)
    if gone:
        found.faults.append(f"{_some(gone, 'topic')} missing")
    behind = [
        f"{each.topic}/{each.topic_partition} ends at {end}, before the recorded {each.end_offset}"
        for each in recorded
        if (end := now.ends.get(_partition(each))) is not None and end < each.end_offset
    ]
    if behind and not found.is_other_cluster:
        found.faults.append(_some(behind, "", joined="; "))
    return found


async def refuse_lost_log(kafka: KafkaSettings, store: Store) -> None:
    """Raise if the log is not the one that the store was filled from.

    Raises:
        LogLostError: the log is another one, or records are missing.
        BrokerUnavailableError, StoreUnavailable: like ``compare_log``.
    """
    found = await compare_log(kafka, store)
    if found.faults:
        message = (
            f"the log at {kafka.broker} is not the one that the store was filled from: "
            f"{'; '.join(found.faults)}; {REMEDY}"
        )
        raise LogLostError(message)


async def log_state(kafka: KafkaSettings) -> LogState:
    """Return the broker's cluster id and the ends of our topics. Raises like ``compare_log``."""
    admin = await started(lambda: new_admin(kafka), kafka)
    consumer = None
    try:
        cluster_id = (await admin.describe_cluster())["cluster_id"]
        partitions = await _partitions(admin, kafka)
        ends: dict[TopicPartition, int] = {}
        if partitions:
            consumer = await started(lambda: new_consumer(kafka), kafka)
            ends = await consumer.end_offsets(partitions)
    except KafkaError as error:
        message = f"the broker at {kafka.broker} did not return the ends of its topics: {error!r}"
        raise BrokerUnavailableError(message) from error
    finally:
        if consumer is not None:
            await stopped(consumer, STOP_TIMEOUT_S)
        await admin.close()
    return LogState(cluster_id, ends)


async def _partitions(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> list[TopicPartition]:
    existing = set(await admin.list_topics())
    ours = [shape.name for shape in topic_shapes(kafka) if shape.name in existing]
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in (await admin.describe_topics(ours) if ours else [])
        for partition in topic["partitions"]
    ]


async def _has_control_records(store: Store) -> bool:
    try:
        return bool(await store.query("SELECT 1 FROM control_log LIMIT 1"))
    except QueryRejected:
        return False  # the table does not exist yet


def _partition(position: LogPosition) -> TopicPartition:
    return TopicPartition(position.topic, position.topic_partition)


def _old_cluster(found: Comparison) -> str:
    others = (each.cluster_id for each in found.recorded if each.cluster_id != found.now.cluster_id)
    return next(others)


def _some(names: list[str], kind: str, *, joined: str = ", ") -> str:
    shown = joined.join(names[:SHOWN_MAX])
    more = len(names) - SHOWN_MAX
    text = f"{kind} {shown}".strip() if len(names) == 1 or not kind else f"{kind}s {shown}"
    verb = (" is" if len(names) == 1 else " are") if kind else ""
    return f"{text}{f' and {more} more' if more > 0 else ''}{verb}"
