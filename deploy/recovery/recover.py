"""Run the steps of `tracemill recover`, which rebuilds the Kafka topics from the store."""

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
from deploy.recovery.channels import ended_messages, read_messages, restore_messages
from deploy.recovery.consistency import disagreements
from deploy.recovery.control_records import read_control_log, restore_control
from deploy.recovery.tiers import restore_tiers
from deploy.recovery.trace_deletions import restore_trace_deletions
from producers.control.kinds.delivery_request import DeliveryRequest
from producers.control.kinds.webhook import Webhook
from producers.control.log import ControlLog
from producers.control.record import ControlRecord
from producers.control.secret_box import SecretBox
from producers.kafka.clients import new_producer, started
from producers.settings import KafkaSettings

PADDING_MAX_RECORDS: Final = 1_000_000
"""Maximum lost offsets of one partition that are filled with empty records.

If more are lost, the broker must be restored from a backup, or another topic prefix be used.
"""
PADDING_BATCH: Final = 1_000
DELIVERY_UNCERTAIN_S: Final = 60
"""Alerts that are this much older than the last recorded positions, or newer, are sent again.

Their deliveries may have failed or may not have been recorded.
"""

PrintLine = Callable[[str], None]
Confirm = Callable[[str], bool]


async def recover(
    kafka: KafkaSettings,
    store: Store,
    box: SecretBox | None,
    *,
    print_line: PrintLine,
    confirm: Confirm,
) -> bool:
    """Rebuild the log from the store; return false if ``confirm`` returned false.

    1. Create tables and topics. 2. Restore control records, users' tiers and deletions of traces.
    3. Restore alerts, their deliveries and the messages of channels. 4. Fill lost offsets with
    empty records. 5. Record the positions of the new log in the store. Until step 5 is done, every
    role refuses to start, and all steps can be repeated.

    Raises:
        DeployError, ProducersError, StoreError: a step failed; run all steps again.
    """
    found = await compare_log(kafka, store)
    if not found.faults:
        print_line("nothing to recover: the log is the one that the store was filled from")
        return True
    for fault in found.faults:
        print_line(f"found: {fault}")
    for line in _lost_records(found, kafka):
        print_line(f"lost: {line}")
    if not confirm("Rebuild the log from the store? The old log cannot be used after this."):
        return False
    await schema.migrate(store, TieringSettings())
    created = await ensure_topics(kafka)
    print_line(f"topics: {len(created)} created, the others exist")
    async with AsyncExitStack() as stack:
        producer = await started(
            lambda: new_producer(kafka, batch_bytes=kafka.record_max_bytes), kafka
        )
        stack.push_async_callback(producer.stop)
        records = await _restore_control(kafka, store, box, print_line)
        webhooks = [each for each in records if isinstance(each, Webhook)]
        print_line(f"tiers of users: {await restore_tiers(producer, kafka.topics, store)} restored")
        deletions = await restore_trace_deletions(producer, kafka.topics, store)
        print_line(f"deletions of traces: {deletions} restored")
        recorded_ms = max((each.row_version for each in found.recorded), default=0)
        uncertain_from_us = (
            (recorded_ms - DELIVERY_UNCERTAIN_S * 1_000) * 1_000
            if recorded_ms
            else time.time_ns() // 1000
        )
        alerts = await read_alerts(store)
        messages = ended_messages(await read_messages(store), alerts, records)
        sent = await restore_messages(producer, kafka.topics, messages)
        print_line(f"channels: {sent} messages are not repeated")
        again = await restore_alerts(
            producer, kafka.topics, alerts, webhooks, delivered_before_us=uncertain_from_us
        )
        print_line(
            f"alerts: {len(alerts)} restored, {again} deliveries are repeated (same webhook-id)"
        )
        if not found.is_other_cluster:
            await _pad(producer, kafka, found.recorded, print_line)
    now = await log_state(kafka)
    for line in await disagreements(store):
        print_line(f"not restored: {line}")
    await write_positions(store, _positions(now, found))
    print_line("recovered: the roles can be started")
    return True


async def _restore_control(
    kafka: KafkaSettings, store: Store, box: SecretBox | None, print_line: PrintLine
) -> list[ControlRecord]:
    restored = restore_control(await read_control_log(store), box)
    control = ControlLog(kafka)
    await control.start()
    try:
        present = {(each.kind, each.id) for each in control.view.records()}
        # Requests are not restored, because the states of their deliveries are lost.
        records = [each for each in restored.records if not isinstance(each, DeliveryRequest)]
        for number, record in enumerate(records, start=1):
            if (record.kind, record.id) not in present:
                await control.create(record)
            if number % 1_000 == 0:
                print_line(f"control records: {number} of {len(records)}")
        counts: dict[str, int] = {}
        for each in records:
            counts[each.kind] = counts.get(each.kind, 0) + 1
        found = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
        print_line(f"control records: {found} restored")
        for identity in restored.new_secrets:
            print_line(
                f"changed: {identity} has a new, unknown secret, because the old one was stored "
                "without TRACEMILL_ENCRYPTION_KEY or with another one: delete it and create it "
                "again to get a secret"
            )
        for log_key in restored.unreadable:
            print_line(f"not restored: {log_key} cannot be read by this version")
        return list(control.view.records())
    finally:
        await control.stop()


async def _pad(
    producer: AIOKafkaProducer,
    kafka: KafkaSettings,
    recorded: list[LogPosition],
    print_line: PrintLine,
) -> None:
    """Fill lost offsets with empty records, because the streams skip records at old offsets.

    Raises:
        DeployError: more than ``PADDING_MAX_RECORDS`` offsets of a partition are missing.
    """
    now = await log_state(kafka)
    ends = {(each.topic, each.partition): end for each, end in now.ends.items()}
    for each in recorded:
        missing = each.end_offset - ends.get((each.topic, each.topic_partition), each.end_offset)
        if missing <= 0 or each.topic == kafka.topics.control:
            continue
        place = f"{each.topic}/{each.topic_partition}"
        if missing > PADDING_MAX_RECORDS:
            message = (
                f"{place} lost {missing} records, and at most {PADDING_MAX_RECORDS} can be "
                "replaced: restore the broker from a backup, or set another TRACEMILL_TOPIC_PREFIX"
            )
            raise DeployError(message)
        for first in range(0, missing, PADDING_BATCH):
            sent = [
                await producer.send(each.topic, b"", partition=each.topic_partition)
                for _ in range(min(PADDING_BATCH, missing - first))
            ]
            for acknowledgement in sent:
                await acknowledgement
        print_line(f"offsets: {place} continues at {each.end_offset} after {missing} empty records")


def _positions(now: LogState, found: Comparison) -> list[LogPosition]:
    version = max([time.time_ns() // 1_000_000, *(each.row_version + 1 for each in found.recorded)])
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


def _lost_records(found: Comparison, kafka: KafkaSettings) -> list[str]:
    """Describe the records that were accepted but not stored, by the last recorded positions."""
    if not found.recorded:
        return ["unknown: the store has no recorded positions of the log"]
    ends = {(each.topic, each.partition): end for each, end in found.now.ends.items()}
    lines = []
    for topic, what in (
        (kafka.topics.events, "records of events that were not processed"),
        (kafka.topics.observations, "records of rows that were not stored"),
    ):
        count = 0
        for each in found.recorded:
            if each.topic == topic:
                kept = 0 if found.is_other_cluster else ends.get((topic, each.topic_partition), 0)
                count += max(0, each.end_offset - max(each.stored_offset, kept))
        lines.append(f"{count} {what}")
    recorded_s = max(each.row_version for each in found.recorded) / 1000
    at = datetime.fromtimestamp(recorded_s, UTC).isoformat(timespec="seconds")
    return [*lines, f"everything accepted after {at}, when positions were last recorded"]
