"""The store's copy of control records: each change once, with its time, without secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import ControlLogRow
from clickhouse.sink.control_log import control_row
from clickhouse.store import Store
from producers.control.fields import secret_fields
from producers.control.keys import new_api_key
from producers.control.kinds.project import Project
from producers.control.kinds.webhook import Webhook
from producers.control.log import ControlLog
from producers.control.registry import KINDS
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from tests.clickhouse.sink_for_tests import START_US, count, eventually
from tests.fixtures.control_log import following
from tests.fixtures.sink import sinking

WEBHOOK = Webhook(
    id="w",
    project_id="p",
    url="https://example.com/hook",
    events=("budget.threshold_crossed",),
    secret="whsec_neverToBeStoredAnywhere",
    created_us=START_US,
)


@pytest.fixture
async def control(kafka: KafkaSettings) -> AsyncIterator[ControlLog]:
    async with following(kafka) as control:
        yield control


async def logged(store: Store, records: int) -> list[dict[str, Any]]:
    async def all_there() -> bool:
        return await count(store, "control_log") == records

    await eventually(all_there)
    return await store.query("SELECT * FROM control_log FINAL ORDER BY log_offset")


async def test_every_change_is_kept_with_its_time_and_deletions_as_such(
    kafka: KafkaSettings, clickhouse_store: Store, control: ControlLog
) -> None:
    project = Project(id="p", name="before", created_us=START_US)
    key = new_api_key(
        key_id="k", project_id="p", public_key="pk", secret="sk-never-stored", created_us=START_US
    )
    await control.create(project)
    await control.create(key)
    await control.put(project.model_copy(update={"name": "after"}))
    await control.delete("api_key", "k")
    async with sinking(kafka, clickhouse_store):
        rows = await logged(clickhouse_store, 4)
    assert [(row["log_offset"], row["kind"], row["id"], row["is_tombstone"]) for row in rows] == [
        (0, "project", "p", 0),
        (1, "api_key", "k", 0),
        (2, "project", "p", 0),
        (4, "api_key", "k", 1),  # the end of a transaction takes an offset, too
    ]
    created, keyed, renamed, deleted = rows
    assert created["log_key"] == renamed["log_key"] != keyed["log_key"] == deleted["log_key"]
    assert msgspec.json.decode(renamed["record"])["record"]["name"] == "after"
    assert msgspec.json.decode(keyed["record"])["record"] == key.model_dump(mode="json")
    assert deleted["record"] == ""
    assert [row["appended_time"] for row in rows] == sorted(row["appended_time"] for row in rows)
    assert (deleted["inserted_at"] - created["appended_time"]).total_seconds() < 60


async def test_the_end_of_a_last_transaction_is_committed_so_that_nothing_seems_unprocessed(
    kafka: KafkaSettings, clickhouse_store: Store, control: ControlLog
) -> None:
    await control.create(WEBHOOK)
    await control.delete("webhook", "w")  # in a transaction, whose end takes an offset
    topic = TopicPartition(kafka.topics.control, 0)
    consumer = AIOKafkaConsumer(
        group_id=kafka.topics.sink_group, enable_auto_commit=False, **client_options(kafka)
    )
    await consumer.start()
    try:
        (end,) = (await consumer.end_offsets([topic])).values()

        async def is_committed() -> bool:
            return await consumer.committed(topic) == end

        async with sinking(kafka, clickhouse_store):
            await eventually(is_committed)
    finally:
        await consumer.stop()


async def test_signing_secrets_of_webhooks_are_not_in_the_store(
    kafka: KafkaSettings, clickhouse_store: Store, control: ControlLog
) -> None:
    await control.create(WEBHOOK)
    async with sinking(kafka, clickhouse_store):
        (row,) = await logged(clickhouse_store, 1)
    assert WEBHOOK.secret not in str(row)
    record = msgspec.json.decode(row["record"])["record"]
    hidden = {"secret": "redacted", "previous_secret": "redacted"}
    assert record == WEBHOOK.model_dump(mode="json") | hidden


async def test_reading_the_log_again_changes_nothing(
    kafka: KafkaSettings, clickhouse_store: Store, control: ControlLog, producer: AIOKafkaProducer
) -> None:
    await control.create(Project(id="p", name="p", created_us=START_US))
    await control.create(WEBHOOK)
    async with sinking(kafka, clickhouse_store):
        before = await logged(clickhouse_store, 2)
    await rewind(kafka)
    await control.delete("webhook", WEBHOOK.id)
    async with sinking(kafka, clickhouse_store):
        after = await logged(clickhouse_store, 3)
    assert [row | {"inserted_at": None} for row in after[:2]] == [
        row | {"inserted_at": None} for row in before
    ]


async def rewind(kafka: KafkaSettings) -> None:
    """Let the sink's group begin the log anew."""
    log = TopicPartition(kafka.topics.control, 0)
    member = AIOKafkaConsumer(
        **client_options(kafka),
        group_id=kafka.topics.sink_group,
        enable_auto_commit=False,
    )
    await member.start()
    try:
        member.assign([log])
        assert await member.committed(log) == 2
        await member.commit({log: 0})
    finally:
        await member.stop()


def row_of(key: bytes | None, value: bytes | None) -> ControlLogRow:
    record: ConsumerRecord[Any, Any] = ConsumerRecord(
        topic="control",
        partition=0,
        offset=7,
        timestamp=1_767_225_600_123,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )
    return msgspec.json.decode(control_row(record, None), type=ControlLogRow)


@pytest.mark.parametrize(
    "value",
    [
        b'{"kind":"sso","record":{"id":"x","client_secret":"hidden"}}',
        b'{"kind":"webhook","record":"hidden"}',
        b"hidden",
        b"\xff",
    ],
)
def test_only_key_and_time_of_an_unreadable_record_are_kept(value: bytes) -> None:
    row = row_of(b"sso/x/0f", value)
    assert (row.kind, row.id, row.log_key, row.record) == ("sso", "x", "sso/x/0f", "")
    assert (row.log_offset, row.appended_us, row.is_tombstone) == (7, 1_767_225_600_123_000, 0)


def test_an_unknown_field_is_dropped() -> None:
    value = b'{"kind":"project","record":{"id":"x","name":"n","created_us":1,"token":"hidden"}}'
    assert "hidden" not in row_of(b"project/x/0f", value).record


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"project"])
def test_a_record_with_any_key_makes_a_row(key: bytes | None) -> None:
    assert row_of(key, None).is_tombstone == 1


def test_every_secret_of_a_record_is_redacted_or_hashed() -> None:
    hidden = {
        (kind, name)
        for kind, record in KINDS.items()
        for name, field in record.model_fields.items()
        if not field.repr
    }
    redacted = {(kind, name) for kind, record in KINDS.items() for name in secret_fields(record)}
    hashes = ("secret_hash", "salt", "previous_secret_hash", "previous_salt")
    assert hidden - redacted == {("api_key", name) for name in hashes}
    assert redacted == {
        ("channel", "settings"),
        ("webhook", "previous_secret"),
        ("webhook", "secret"),
    }
