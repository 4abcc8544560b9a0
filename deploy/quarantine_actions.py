"""Replay and skip quarantined records, dead letters and records that block their partition."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.feeds import FEEDS
from clickhouse.rows import DeadLetterRow
from clickhouse.store import Store
from deploy.errors import QuarantineError
from deploy.quarantine_access import QuarantineAccess
from producers.dead_letter_replays import why_unusable
from producers.kafka.topics import Cleanup
from streams.core.dead_letters.texts import owner_of_delta, owner_of_event
from streams.core.quarantine.dead_letters import dead_letters_of
from streams.core.quarantine.quarantined import Entry, Kind
from streams.core.quarantine.replay import replayed_value
from streams.quarantine.log import topic_of
from streams.quarantine.settings import QuarantineSettings
from tracemill.clock import now_us

SKIPPED: Final = "skipped_by_operator"
REPLAYED_FEEDS: Final = tuple(
    feed for feed in FEEDS if feed.topic.cleanup is Cleanup.DELETE and feed.row is not DeadLetterRow
)
"""Feeds whose refused rows can be written to their topic again."""
_ENTRY: Final = re.compile(r"(events|deltas)/(\d+)/(\d+)")
_DEAD_LETTER: Final = re.compile(r"[0-9a-f]{32}")


def entry_of(access: QuarantineAccess, entry_id: str) -> Entry:
    """Return the entry with this id.

    Raises:
        QuarantineError: there is no such entry, or the text is not an id.
    """
    matched = _ENTRY.fullmatch(entry_id)
    if matched is None:
        raise QuarantineError(
            f"{entry_id!r} is not the id of a quarantined record, such as events/0/1234 "
            "(`tracemill quarantine list`)"
        )
    kind, partition, offset = matched.groups()
    for entry in access.view.entries.get((_kind(kind), int(partition)), {}).values():
        if entry.offset == int(offset):
            return entry
    raise QuarantineError(f"{entry_id} is not in quarantine (`tracemill quarantine list`)")


def is_dead_letter_id(text: str) -> bool:
    """Return whether a text is the id of a dead letter and not of an entry."""
    return _DEAD_LETTER.fullmatch(text) is not None


async def source_of(access: QuarantineAccess, entry: Entry) -> ConsumerRecord:
    """Return the source record of an entry.

    Raises:
        QuarantineError: the record has been deleted.
    """
    record = await access.source_record(entry.kind, entry.partition, entry.offset)
    if record is None or record.timestamp != entry.timestamp_ms:
        hint = (
            f"; replay its dead letters instead: {' '.join(entry.dead_letters)}"
            if entry.dead_letters
            else ""
        )
        raise QuarantineError(
            f"{entry.id} cannot be replayed: {topic_of(access.kafka, entry.kind)} no longer "
            f"contains it{hint}"
        )
    return record


async def replay_entry(access: QuarantineAccess, entry: Entry) -> str:
    """Append a quarantined record to its topic again; return a message about the effect.

    1. Append the record. 2. Mark the entry as replayed. A repetition changes no totals.

    Raises:
        QuarantineError: the source record was deleted or cannot be decoded.
    """
    record = await source_of(access, entry)
    try:
        value = replayed_value(entry, record.value or b"")
    except msgspec.DecodeError as error:
        raise QuarantineError(f"{entry.id} cannot be replayed: {error}") from error
    topic = topic_of(access.kafka, entry.kind)
    offset = await access.append(topic, entry.partition, value)
    await access.write_entry(_changed(entry, "replayed"))
    return (
        f"{entry.id} was appended again as {entry.kind}/{entry.partition}/{offset}: "
        "totals will contain it when it has been processed"
    )


async def replay_dead_letter(access: QuarantineAccess, store: Store, dead_letter_id: str) -> str:
    """Append the payload of a dead letter to its topic again; return a message about the effect.

    Raises:
        QuarantineError: there is no dead letter with this id, or it cannot be replayed.
        StoreError: the store does not respond.
    """
    rows = await store.query(
        "SELECT stage, reason, detail, source_topic, source_partition, payload "
        "FROM dead_letters FINAL WHERE id = {id:String}",
        {"id": dead_letter_id},
    )
    if not rows:
        raise QuarantineError(f"there is no dead letter {dead_letter_id}")
    topic, partition, payload = _source_of_dead_letter(access, dead_letter_id, rows[0])
    offset = await access.append(topic, partition, payload.encode())
    return (
        f"dead letter {dead_letter_id} was appended again at offset {offset} of "
        f"{topic}/{partition}: if it is refused again, it becomes another dead letter"
    )


def _source_of_dead_letter(
    access: QuarantineAccess, dead_letter_id: str, row: dict[str, Any]
) -> tuple[str, int, str]:
    """Return the source topic and partition of a dead letter, and its payload."""
    topics, stage, topic = access.kafka.topics, row["stage"], row["source_topic"]
    replayed = {topics.events, *(feed.topic_in(topics) for feed in REPLAYED_FEEDS)}
    unusable = why_unusable(stage, row["reason"], row["detail"])
    why = "" if unusable is None else str(unusable)
    if not why and topic == topics.deltas:
        why = "it is a change of windows; replay its record instead (`tracemill quarantine list`)"
    elif not why and topic not in replayed:
        why = f"dead letters of {topic or stage} cannot be replayed"
    if why:
        raise QuarantineError(f"dead letter {dead_letter_id} cannot be replayed: {why}")
    return topic, int(row["source_partition"]), row["payload"]


async def skip_entry(access: QuarantineAccess, entry: Entry) -> str:
    """Mark a quarantined record as skipped; return a message about the effect."""
    await access.write_entry(_changed(entry, "skipped"))
    dead_letters = " ".join(entry.dead_letters) or "none"
    return (
        f"{entry.id} is skipped: totals do not contain it; its dead letters are kept "
        f"({dead_letters})"
    )


async def skip_record(access: QuarantineAccess, kind: Kind, partition: int, offset: int) -> str:
    """Skip a record that has not been processed yet; return a message about the effect.

    1. Write its dead letters. 2. Write the entry.

    Raises:
        QuarantineError: there is no such record, or it was processed.
    """
    topic = topic_of(access.kafka, kind)
    if access.view.entries.get((kind, partition), {}).get(offset) is not None:
        return await skip_entry(access, access.view.entries[kind, partition][offset])
    partitions = await access.partitions(kind)
    if partition >= partitions:
        raise QuarantineError(f"--partition {partition}: {topic} has 0 to {partitions - 1}")
    first, end = await access.range_of(kind, partition)
    record = await access.source_record(kind, partition, offset)
    if record is None:
        allowed = f"{first} to {end - 1}" if first < end else "no records"
        raise QuarantineError(f"--offset {offset}: {topic}/{partition} has {allowed}")
    if offset < await access.committed(kind, partition):
        raise QuarantineError(
            f"{kind}/{partition}/{offset} cannot be skipped: it has already been processed"
        )
    lines = [line for line in (record.value or b"").split(b"\n") if line.strip()]
    dead_letters = dead_letters_of(
        lines,
        owner_of_event if kind == "events" else owner_of_delta,
        reason=SKIPPED,
        stage="observations" if kind == "events" else "projects",
        topic=topic,
        partition=partition,
        offset=offset,
        created_us=record.timestamp * 1_000,
        detail="skipped by an operator",
        payload_bytes_max=QuarantineSettings().payload_bytes_max,
    )
    for dead_letter in dead_letters:
        await access.append(access.kafka.topics.dead_letters, 0, msgspec.json.encode(dead_letter))
    skipped_us = now_us()
    entry = Entry(
        kind=kind,
        partition=partition,
        offset=offset,
        timestamp_ms=record.timestamp,
        state="skipped",
        cause="operator",
        by="operator",
        payload_bytes=len(record.value or b""),
        dead_letters=tuple(dead_letter.id for dead_letter in dead_letters),
        created_us=skipped_us,
        changed_us=skipped_us,
    )
    await access.write_entry(entry)
    return (
        f"{entry.id} is skipped: totals do not contain its {len(lines)} lines, which are dead "
        f"letters now. `tracemill quarantine replay {entry.id}` appends them again"
    )


def _changed(entry: Entry, state: str) -> Entry:
    return msgspec.structs.replace(entry, state=state, by="operator", changed_us=now_us())


def _kind(text: str) -> Kind:
    return "events" if text == "events" else "deltas"
