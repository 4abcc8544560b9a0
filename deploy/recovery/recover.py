"""Runs the steps of `tracemill recover`, each of which may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaProducer

from clickhouse import migrate as schema
from clickhouse.all_topics import ensure_topics
from clickhouse.log_positions import LogPosition, write_positions
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from deploy.errors import DeployError
from deploy.processes.log_check import Comparison, LogState, compare_log, log_state
from deploy.recovery.alerts import read_alerts, restore_alerts
from deploy.recovery.consistency import disagreements
from deploy.recovery.control_records import read_control_log, restore_control
from producers.control.kinds.webhook import Webhook
from producers.control.log import ControlLog
from producers.control.secret_box import SecretBox
from producers.kafka.clients import new_producer, started
from producers.settings import KafkaSettings

PADDING_MAX_RECORDS: Final = 1_000_000
"""Lost offsets of one partition that are filled with empty records.

A log that lost more is restored from a backup, or replaced by one under another topic prefix.
"""
PADDING_BATCH: Final = 1_000
UNSURE_S: Final = 60
"""Age of alerts, before the log was lost, that may not have been delivered."""

Say = Callable[[str], None]
Confirm = Callable[[str], bool]


async def recover(
    kafka: KafkaSettings, store: Store, box: SecretBox | None, *, say: Say, confirm: Confirm
) -> bool:
    """Rebuild the current log from the store; false if ``confirm`` returned false.

    1. Create tables and topics. 2. Restore control records. 3. Restore alerts and their deliveries.
    4. Skip offsets that were used before. 5. Record the new log's positions in the store: until
    then every role refuses to start, and all steps may be repeated.

    Raises:
        DeployError, ProducersError, StoreError: a step failed; run all of them again.
    """
    found = await compare_log(kafka, store)
    if not found.faults:
        say("nothing to recover: the log is the one that the store was filled from")
        return True
    for fault in found.faults:
        say(f"found: {fault}")
    for line in _lost(found, kafka):
        say(f"lost: {line}")
    if not confirm("Rebuild the log from the store? The old log cannot be used after this."):
        return False
    await schema.migrate(store, TieringSettings())
    created = await ensure_topics(kafka)
    say(f"topics: {len(created)} created, the others exist")
    async with AsyncExitStack() as stack:
        producer = await started(
            lambda: new_producer(kafka, batch_bytes=kafka.record_max_bytes), kafka
        )
        stack.push_async_callback(producer.stop)
        webhooks = await _restore_control(kafka, store, box, say)
        noted_ms = max((each.row_version for each in found.noted), default=0)
        unsure_from_us = (
            (noted_ms - UNSURE_S * 1_000) * 1_000 if noted_ms else time.time_ns() // 1000
        )
        alerts = await read_alerts(store)
        again = await restore_alerts(
            producer, kafka.topics, alerts, webhooks, delivered_before_us=unsure_from_us
        )
        say(f"alerts: {len(alerts)} restored, {again} deliveries are repeated (same webhook-id)")
        if not found.is_other_cluster:
            await _pad(producer, kafka, found.noted, say)
    now = await log_state(kafka)
    for line in await disagreements(store):
        say(f"not restored: {line}")
    await write_positions(store, _positions(now, found))
    say("recovered: the roles can be started")
    return True


async def _restore_control(
    kafka: KafkaSettings, store: Store, box: SecretBox | None, say: Say
) -> list[Webhook]:
    restored = restore_control(await read_control_log(store), box)
    control = ControlLog(kafka)
    await control.start()
    try:
        present = {(each.kind, each.id) for each in control.view.records()}
        for number, record in enumerate(restored.records, start=1):
            if (record.kind, record.id) not in present:
                await control.create(record)
            if number % 1_000 == 0:
                say(f"control records: {number} of {len(restored.records)}")
        counts: dict[str, int] = {}
        for each in restored.records:
            counts[each.kind] = counts.get(each.kind, 0) + 1
        found = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
        say(f"control records: {found} restored")
        for identity in restored.new_secrets:
            say(
                f"changed: {identity} has a new secret (the old one was stored without a key or with "
                "another TRACEMILL_ENCRYPTION_KEY): create it again to get a secret that you know"
            )
        for log_key in restored.unreadable:
            say(f"not restored: {log_key} cannot be read by this version")
        return list(control.view[Webhook].values())
    finally:
        await control.stop()


async def _pad(
    producer: AIOKafkaProducer, kafka: KafkaSettings, noted: list[LogPosition], say: Say
) -> None:
    """Fill lost offsets with empty records: new records under used offsets would be skipped.

    Raises:
        DeployError: too many are missing.
    """
    now = await log_state(kafka)
    ends = {(each.topic, each.partition): end for each, end in now.ends.items()}
    for each in noted:
        missing = each.end_offset - ends.get((each.topic, each.topic_partition), each.end_offset)
        if missing <= 0 or each.topic == kafka.topics.control:
            continue
        place = f"{each.topic}/{each.topic_partition}"
        if missing > PADDING_MAX_RECORDS:
            message = f"{place} lacks {missing} records, more than {PADDING_MAX_RECORDS}"
            raise DeployError(message)
        for first in range(0, missing, PADDING_BATCH):
            sent = [
                await producer.send(each.topic, b"", partition=each.topic_partition)
                for _ in range(min(PADDING_BATCH, missing - first))
            ]
            for acknowledgement in sent:
                await acknowledgement
        say(f"offsets: {place} continues at {each.end_offset} after {missing} empty records")


def _positions(now: LogState, found: Comparison) -> list[LogPosition]:
    version = max([time.time_ns() // 1_000_000, *(each.row_version + 1 for each in found.noted)])
    return [
        LogPosition(
            topic=each.topic,
            topic_partition=each.partition,
            cluster_id=now.cluster_id,
            end_offset=end,
            stored_offset=0,
            row_version=version,
        )
        for each, end in now.ends.items()
    ]


def _lost(found: Comparison, kafka: KafkaSettings) -> list[str]:
    """Describe what was accepted and not stored, according to the last recorded positions."""
    if not found.noted:
        return ["unknown: the store has no recorded positions of the log"]
    ends = {(each.topic, each.partition): end for each, end in found.now.ends.items()}
    lines = []
    for topic, what in (
        (kafka.topics.events, "records of events that were not processed"),
        (kafka.topics.observations, "records of rows that were not stored"),
    ):
        count = 0
        for each in found.noted:
            if each.topic == topic:
                kept = 0 if found.is_other_cluster else ends.get((topic, each.topic_partition), 0)
                count += max(0, each.end_offset - max(each.stored_offset, kept))
        lines.append(f"{count} {what}")
    noted_s = max(each.row_version for each in found.noted) / 1000
    at = datetime.fromtimestamp(noted_s, UTC).isoformat(timespec="seconds")
    return [*lines, f"and what was accepted after {at}, when the positions were recorded"]
