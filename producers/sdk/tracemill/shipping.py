"""Encode queued events, batch them by partition and send them to Kafka, in the background.

Each event is, in this order: 1. taken from the queue, 2. added to the record of its partition,
3. passed to the Kafka client, 4. acknowledged, 5. counted as sent.
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

from tracemill.contract import Event, Observation, TraceUpdate, encode_event
from tracemill.options import EVENT_LINE_MAX_BYTES, Options
from tracemill.partitioning import partition_key, partition_of
from tracemill.problem_log import ProblemLog
from tracemill.texts import cut

_FIRST_PAUSE_S: Final = 0.1
_REQUEST_MAX_BYTES: Final = 1_000_000
_CLIENT_BATCH_BYTES: Final = 512 * 1024
_CUT_TEXT_CHARS: Final = 10_000
_PASS_MAX_EVENTS: Final = 10_000
"""Maximum number of events of a pass. After them, incomplete records are sent as well."""

THREAD_NAME: Final = "tracemill"


def _is_of_other_thread(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD_NAME


for _name in ("", ".conn", ".cluster", ".producer.producer", ".producer.sender"):
    # The Kafka client logs every attempt; the tracer logs the same at a limited rate.
    logging.getLogger(f"aiokafka{_name}").addFilter(_is_of_other_thread)


class Source(Protocol):
    """Provide events, and count their outcomes."""

    def take(self) -> tuple[Event, int] | None: ...
    def prepare_wait(self) -> bool: ...
    def settle(self, events: int, size: int, *, delivered: bool) -> None: ...


class _Record:
    """A Kafka record that is not complete yet: lines of one partition."""

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
    """Send the events of a source to a topic, in order per partition."""

    def __init__(self, options: Options, source: Source, problems: ProblemLog) -> None:
        self._options = options
        self._source = source
        self._problems = problems
        self._wakeup = asyncio.Event()
        self._flush_requested = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stop_timeout_s = 0.0
        self._flushes: list[asyncio.Future[frozenset[asyncio.Future[Any]]]] = []
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._producer: AIOKafkaProducer | None = None

    def wake(self) -> None:
        """Resume after an event was queued; called if ``prepare_wait`` had returned true."""
        self._wakeup.set()

    def stop_within(self, timeout_s: float) -> None:
        """Cancel ``run``, and close the client within ``timeout_s``."""
        self._stop_timeout_s = timeout_s
        self._stopping.set()

    async def run(self) -> None:
        """Send events until ``stop_within`` is called; raise an exception only for a defect."""
        work = asyncio.create_task(self._ship_forever())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        work.cancel()
        ended = await asyncio.gather(work, return_exceptions=True)
        await self._close_client()
        if ended[0] is not None and not isinstance(ended[0], asyncio.CancelledError):
            raise ended[0]

    async def flush(self) -> bool:
        """Send all queued events and wait for them; return whether all were delivered."""
        request: asyncio.Future[frozenset[asyncio.Future[Any]]]
        request = asyncio.get_running_loop().create_future()
        self._flushes.append(request)
        self._flush_requested.set()
        self._wakeup.set()
        try:
            in_flight = await request
        finally:
            if request in self._flushes:  # cancelled
                self._flushes.remove(request)
        if in_flight:
            await asyncio.wait(in_flight)
        return all(not sent.cancelled() and sent.exception() is None for sent in in_flight)

    async def _ship_forever(self) -> None:
        while True:
            if self._source.prepare_wait():
                await self._wakeup.wait()
            self._wakeup.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.linger_s):
                    await self._flush_requested.wait()
            self._flush_requested.clear()
            flushes, self._flushes = self._flushes, []
            while not await self._ship_pass():
                pass
            for request in flushes:
                if not request.done():
                    request.set_result(frozenset(self._in_flight))

    async def _ship_pass(self) -> bool:
        """Send complete records, then incomplete ones; return whether the queue is empty."""
        records: dict[int, _Record] = {}
        partitions = await self._partitions()
        for _ in range(_PASS_MAX_EVENTS):
            taken = self._source.take()
            if taken is None:
                break
            event, size = taken
            line = self._encode(event)
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

    def _encode(self, event: Event) -> bytes | None:
        """Return the line of an event, with texts cut or repaired if needed.

        Return ``None`` if it cannot be encoded.
        """
        try:
            line = encode_event(event)
        except UnicodeEncodeError:  # a text contains half a surrogate pair
            line = _without_surrogates(event)
        except Exception as error:  # noqa: BLE001 - one event must not stop the others
            self._problems.mistake("event", error)
            return None
        if len(line) <= EVENT_LINE_MAX_BYTES:
            return line
        line = encode_event(_with_short_texts(event))
        if len(line) <= EVENT_LINE_MAX_BYTES:
            return line
        self._problems.mistake("event", f"too large for a record: {len(line)} bytes")
        return None

    async def _send(self, partition: int, record: _Record) -> None:
        """Pass a record to the client; wait while the broker is unavailable."""
        value = b"\n".join(record.lines)
        while True:
            producer = await self._connected()
            try:
                sent = await producer.send(self._options.topic, value, partition=partition)
            except KafkaTimeoutError:
                self._problems.warn("slow", "tracemill: the broker does not accept events")
            except KafkaError as error:
                # A fatal error: the client is unusable, but it has not accepted the record.
                self._problems.warn("client", "tracemill: Kafka: %r; reconnecting", error)
                await self._close_client()
                await asyncio.sleep(_FIRST_PAUSE_S)
            else:
                break
        self._in_flight.add(sent)
        sent.add_done_callback(self._settled(len(record.lines), record.size))

    def _settled(self, events: int, size: int) -> Callable[[asyncio.Future[Any]], None]:
        def settled(sent: asyncio.Future[Any]) -> None:
            self._in_flight.discard(sent)
            error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
            self._source.settle(events, size, delivered=error is None)
            if error is not None:
                self._problems.warn("failed", "tracemill: %d events failed: %r", events, error)

        return settled

    async def _partitions(self) -> int:
        """Return the number of partitions of the topic, from the client's metadata."""
        while True:
            producer = await self._connected()
            try:
                return len(await producer.partitions_for(self._options.topic))
            except KafkaError as error:
                self._problems.warn("topic", "tracemill: topic %s: %r", self._options.topic, error)
                await asyncio.sleep(self._options.reconnect_max_s)

    async def _connected(self) -> AIOKafkaProducer:
        pause_s = _FIRST_PAUSE_S
        while self._producer is None:
            producer = self._new_producer()
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                await _abandon(producer)
                self._problems.warn(
                    "connect",
                    "tracemill: no broker at %s, or it refuses the user or password"
                    " (TRACEMILL_BROKER_USERNAME, TRACEMILL_BROKER_PASSWORD): %r",
                    self._options.broker,
                    error,
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
    """End an idempotent producer at once; its ``stop`` would wait for retries without end.

    aiokafka has no public way to do this.
    """
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
    """Cut the long texts of an event; JSON becomes an object with the cut text."""

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
    if isinstance(event, Observation | TraceUpdate) and event.trace is not None:
        trace = event.trace
        changed = {
            name: change(value)
            for name in trace.__struct_fields__
            if isinstance(value := getattr(trace, name), str)
        }
        return msgspec.structs.replace(
            event, **changes, trace=msgspec.structs.replace(trace, **changed)
        )
    return msgspec.structs.replace(event, **changes)
