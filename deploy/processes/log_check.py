"""Checks that the log is the one that the store was filled from, and has not lost its end."""

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
HOW_TO_GO_ON: Final = (
    "give the broker its old data back, or run `tracemill recover` to go on from what the store has"
)


@dataclass(frozen=True, slots=True)
class LogState:
    """The log as it is now."""

    cluster_id: str
    ends: dict[TopicPartition, int]
    """End offset of every existing partition of tracemill's topics."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The log as it is and as it was when the store was last filled from it."""

    now: LogState
    noted: list[LogPosition]
    has_control_records: bool
    """Whether the store has a copy of control records, from any log."""
    faults: list[str] = field(default_factory=list)
    """What is missing; empty: it is the same log."""

    @property
    def is_other_cluster(self) -> bool:
        return any(each.cluster_id != self.now.cluster_id for each in self.noted)


async def compare_log(kafka: KafkaSettings, store: Store) -> Comparison:
    """Compare the log with what the store knows of it.

    Raises:
        BrokerUnavailableError: the broker did not answer.
        StoreUnavailable: the store did not.
    """
    # A store from before positions were recorded: it has control records, and the log has none.
    noted_of_all, has_records, now = await asyncio.gather(
        read_positions(store), _has_control_records(store), log_state(kafka)
    )
    topics = {shape.name for shape in topic_shapes(kafka)}
    noted = [each for each in noted_of_all if each.topic in topics]
    found = Comparison(now, noted, has_records)
    if not noted_of_all and has_records:
        if not now.ends.get(TopicPartition(kafka.topics.control, 0)):
            found.faults.append(f"topic {kafka.topics.control} is empty, the store has its records")
        return found
    if found.is_other_cluster:
        found.faults.append(
            f"the broker is cluster {now.cluster_id}, the store was filled from {_old_cluster(found)}"
        )
    existing = {partition.topic for partition in now.ends}
    gone = sorted({each.topic for each in noted} - existing)
    if gone:
        found.faults.append(f"{_some(gone, 'topic')} missing")
    behind = [
        f"{each.topic}/{each.topic_partition} ends at {end}, it was at {each.end_offset}"
        for each in noted
        if (end := now.ends.get(_partition(each))) is not None and end < each.end_offset
    ]
    if behind and not found.is_other_cluster:
        found.faults.append(_some(behind, "", joined="; "))
    return found


async def refuse_lost_log(kafka: KafkaSettings, store: Store) -> None:
    """Return where the log is the one that the store was filled from.

    Raises:
        LogLostError: it is another, or lacks what the store was filled from.
        BrokerUnavailableError, StoreUnavailable: as ``compare_log``.
    """
    found = await compare_log(kafka, store)
    if found.faults:
        message = (
            f"the log at {kafka.broker} is younger than the store: "
            f"{'; '.join(found.faults)}; {HOW_TO_GO_ON}"
        )
        raise LogLostError(message)


async def log_state(kafka: KafkaSettings) -> LogState:
    """Ask the broker for its identity and the ends of our topics. Errors as ``compare_log``."""
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
        message = f"the broker at {kafka.broker} did not return its offsets: {error!r}"
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
        return False  # no such table yet


def _partition(position: LogPosition) -> TopicPartition:
    return TopicPartition(position.topic, position.topic_partition)


def _old_cluster(found: Comparison) -> str:
    others = (each.cluster_id for each in found.noted if each.cluster_id != found.now.cluster_id)
    return next(others)


def _some(names: list[str], kind: str, *, joined: str = ", ") -> str:
    shown = joined.join(names[:SHOWN_MAX])
    more = len(names) - SHOWN_MAX
    text = f"{kind} {shown}".strip() if len(names) == 1 or not kind else f"{kind}s {shown}"
    verb = (" is" if len(names) == 1 else " are") if kind else ""
    return f"{text}{f' and {more} more' if more > 0 else ''}{verb}"
