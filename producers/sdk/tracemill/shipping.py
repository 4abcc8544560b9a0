"""The background thread's work: encode events, gather them by partition, hand them to Kafka.

Order of effects for each event: taken from the queue → a line of its partition's record → given to the Kafka client → acknowledged → counted as sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from tracemill.complaints import Complaints
from tracemill.contract import Event, Score, encode_event
from tracemill.options import EVENT_LINE_MAX_BYTES, Options
from tracemill.partitioning import partition_key, partition_of
from tracemill.texts import cut

_FIRST_PAUSE_S: Final = 0.1
_REQUEST_MAX_BYTES: Final = 1_000_000
_CLIENT_BATCH_BYTES: Final = 512 * 1024
_CUT_TEXT_CHARS: Final = 10_000
_PASS_MAX_EVENTS: Final = 10_000
"""After so many events unfinished records are sent too, so that none waits for the queue to become empty."""

THREAD_NAME: Final = "tracemill"


def _not_of_our_thread(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD_NAME


for _name in ("", ".conn", ".cluster", ".producer.producer", ".producer.sender"):
    # The Kafka client logs every attempt; the tracer says it itself, at most once in a while.
    logging.getLogger(f"aiokafka{_name}").addFilter(_not_of_our_thread)


class Source(Protocol):
    """Where events come from, and where it is noted what became of them."""

    def take(self) -> tuple[Event, int] | None: ...
    def fall_asleep(self) -> bool: ...
    def settle(self, events: int, size: int, *, delivered: bool) -> None: ...


class _Record:
    """A Kafka record in the making: lines of one partition."""

    __slots__ = ("bytes", "lines", "size")

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.bytes = 0
        self.size = 0

    def add(self, line: bytes, size: int) -> None:
        self.lines.append(line)
        self.bytes += len(line) + 1
        self.size += size


class Shipper:
    """Empties a source into a topic until it is told to stop. One task does all of it, so order within a partition is kept."""

    def __init__(self, options: Options, source: Source, complaints: Complaints) -> None:
        self._options = options
        self._source = source
        self._complaints = complaints
        self._events_wait = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stop_timeout_s = 0.0
        self._flushes: list[asyncio.Future[frozenset[asyncio.Future[Any]]]] = []
        self._on_their_way: set[asyncio.Future[Any]] = set()
        self._producer: AIOKafkaProducer | None = None

    def wake(self) -> None:
        """Events wait, after ``fall_asleep`` had said there were none."""
        self._events_wait.set()

    def stop_within(self, timeout_s: float) -> None:
        """End ``run``: whatever it does is broken off, the client is closed within ``timeout_s``."""
        self._stop_timeout_s = timeout_s
        self._stopping.set()

    async def run(self) -> None:
        """Ship until ``stop_within``; raises only what is a defect."""
        work = asyncio.create_task(self._ship_for_ever())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        work.cancel()
        ended = await asyncio.gather(work, return_exceptions=True)
        await self._close_client()
        if ended[0] is not None and not isinstance(ended[0], asyncio.CancelledError):
            raise ended[0]

    async def flush(self) -> bool:
        """Send what waits and see it settled; whether all of it was delivered."""
        asked: asyncio.Future[frozenset[asyncio.Future[Any]]]
        asked = asyncio.get_running_loop().create_future()
        self._flushes.append(asked)
        self._hurry.set()
        self._events_wait.set()
        try:
            on_their_way = await asked
        finally:
            if asked in self._flushes:  # nobody waits any more
                self._flushes.remove(asked)
        if on_their_way:
            await asyncio.wait(on_their_way)
        return all(not sent.cancelled() and sent.exception() is None for sent in on_their_way)

    async def _ship_for_ever(self) -> None:
        while True:
            if self._source.fall_asleep():
                await self._events_wait.wait()
            self._events_wait.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.linger_s):
                    await self._hurry.wait()
            self._hurry.clear()
            flushes, self._flushes = self._flushes, []
            while not await self._ship_some():
                pass
            for asked in flushes:
                if not asked.done():
                    asked.set_result(frozenset(self._on_their_way))

    async def _ship_some(self) -> bool:
        """Full records first, then what is left of each partition; whether the queue is empty now."""
        records: dict[int, _Record] = {}
        partitions = await self._partitions()
        for _ in range(_PASS_MAX_EVENTS):
            taken = self._source.take()
            if taken is None:
                break
            event, size = taken
            line = self._line_of(event)
            if line is None:
                self._source.settle(1, size, delivered=False)
                continue
            partition = partition_of(event.project_id, partition_key(event), partitions)
            record = records.get(partition)
            if record is None or record.bytes + len(line) > self._options.record_max_bytes:
                if record is not None:
                    await self._send(partition, record)
                record = records[partition] = _Record()
            record.add(line, size)
            if len(record.lines) >= self._options.record_max_events:
                await self._send(partition, records.pop(partition))
        for partition, record in records.items():
            await self._send(partition, record)
        return taken is None

    def _line_of(self, event: Event) -> bytes | None:
        """The event's line, without what makes it impossible to send; ``None`` if it is all impossible."""
        try:
            line = encode_event(event)
        except UnicodeEncodeError:  # half a surrogate pair in some text
            line = _without_surrogates(event)
        except Exception as error:  # noqa: BLE001 - one event must not stop the others
            self._complaints.mistake("event", error)
            return None
        if len(line) <= EVENT_LINE_MAX_BYTES:
            return line
        line = encode_event(_with_short_texts(event))
        if len(line) <= EVENT_LINE_MAX_BYTES:
            return line
        self._complaints.mistake("event", f"{len(line)} bytes are too many for a record")
        return None

    async def _send(self, partition: int, record: _Record) -> None:
        """Give a record to the client; while the broker does not take any, wait: the buffer's bound holds meanwhile."""
        value = b"\n".join(record.lines)
        while True:
            producer = await self._connected()
            try:
                sent = await producer.send(self._options.topic, value, partition=partition)
            except KafkaTimeoutError:
                self._complaints.say("slow", "tracemill: the broker takes no events at the moment")
            except KafkaError as error:
                # After a fatal error the client is of no more use; the record is still ours.
                self._complaints.say("client", "tracemill: Kafka: %r; connecting anew", error)
                await self._close_client()
                await asyncio.sleep(_FIRST_PAUSE_S)
            else:
                break
        self._on_their_way.add(sent)
        sent.add_done_callback(self._settled(len(record.lines), record.size))

    def _settled(self, events: int, size: int) -> Callable[[asyncio.Future[Any]], None]:
        def settled(sent: asyncio.Future[Any]) -> None:
            self._on_their_way.discard(sent)
            error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
            self._source.settle(events, size, delivered=error is None)
            if error is not None:
                self._complaints.say("failed", "tracemill: %d events failed: %r", events, error)

        return settled

    async def _partitions(self) -> int:
        """How many partitions the topic has; the client knows, and keeps itself informed."""
        while True:
            producer = await self._connected()
            try:
                return len(await producer.partitions_for(self._options.topic))
            except KafkaError as error:
                self._complaints.say("topic", "tracemill: topic %s: %r", self._options.topic, error)
                await asyncio.sleep(self._options.reconnect_max_s)

    async def _connected(self) -> AIOKafkaProducer:
        pause_s = _FIRST_PAUSE_S
        while self._producer is None:
            producer = self._new_producer()
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                await _abandon(producer)
                self._complaints.say(
                    "connect", "tracemill: no broker at %s: %r", self._options.broker, error
                )
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self._options.reconnect_max_s)
            except BaseException:
                await _abandon(producer)
                raise
            else:
                self._producer = producer
        return self._producer

    def _new_producer(self) -> AIOKafkaProducer:
        compression = self._options.compression
        return AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            compression_type=None if compression == "none" else compression,
            max_batch_size=_CLIENT_BATCH_BYTES,
            max_request_size=_REQUEST_MAX_BYTES,
            **self._options.client_arguments(),
        )

    async def _close_client(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                await producer.stop()
        except (KafkaError, TimeoutError, OSError):
            await _abandon(producer)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """An idempotent producer tries for ever, and its ``stop`` waits for that; there is no public way to end it."""
    error = KafkaConnectionError("given up")
    sender = producer._sender  # noqa: SLF001
    if sender is not None and sender.sender_task is not None:
        with contextlib.suppress(KafkaError):
            await sender.close()
    producer._message_accumulator.fail_all(error)  # noqa: SLF001
    producer._closed = True  # noqa: SLF001
    await producer.client.close()


def _without_surrogates(event: Event) -> bytes:
    return encode_event(_mapped(event, lambda text: text.encode(errors="replace").decode()))


def _with_short_texts(event: Event) -> Event:
    """The event with its long texts cut; JSON texts are held in an object to stay JSON."""

    def short(text: str) -> str:
        if len(text) <= _CUT_TEXT_CHARS:
            return text
        held = cut(text, _CUT_TEXT_CHARS)
        return msgspec.json.encode({"cut": held}).decode() if text.startswith("{") else held

    return _mapped(event, short)


def _mapped(event: Event, change: Callable[[str], str]) -> Event:
    changes = {
        name: change(value)
        for name in event.__struct_fields__
        if isinstance(value := getattr(event, name), str)
    }
    if not isinstance(event, Score) and event.trace is not None:
        said = event.trace
        changed = {
            name: change(value)
            for name in said.__struct_fields__
            if isinstance(value := getattr(said, name), str)
        }
        return msgspec.structs.replace(
            event, **changes, trace=msgspec.structs.replace(said, **changed)
        )
    return msgspec.structs.replace(event, **changes)
