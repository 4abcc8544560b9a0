"""Defer events that need the store while it does not answer, and append them again later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

import structlog

from producers.kafka.topics import Topics
from streams.core.observations.deferral import (
    Decision,
    DeferralState,
    Headers,
    decision_headers,
    fence_headers,
    is_decision,
    passed_headers,
    split_lines,
)
from streams.core.observations.limits import RowLimits
from streams.core.observations.traces import TraceKey
from streams.observations import metrics
from streams.observations.ports import Ends, History, Output
from streams.observations.settings import StreamsSettings
from streams.runtime.partition_worker import SourceMessage

log = structlog.get_logger(__name__)


class Deferral:
    """The deferred events of one partition (``streams.core.observations.deferral``).

    Attributes:
        is_store_away: whether the store did not answer the last time, so events are deferred at
            once.
    """

    def __init__(
        self,
        output: Output,
        history: History,
        topics: Topics,
        partition: int,
        settings: StreamsSettings,
        limits: RowLimits,
    ) -> None:
        self.is_store_away = False
        self._output = output
        self._history = history
        self._topics = topics
        self._partition = partition
        self._records_max = settings.deferred_records_max
        self._limits = limits
        self._state = DeferralState()
        self._fence = -1
        self._free_from = 0
        self._has_waiting = asyncio.Event()

    @property
    def is_waiting(self) -> bool:
        """Return whether deferred events were not appended again yet."""
        return bool(self._state.waiting)

    async def begin(self) -> None:
        """Write a fence, read earlier decisions, and find the end of what may have been folded."""
        self._fence = await self._send(self._topics.deferred, b"", fence_headers())
        async for record in self._history.deferred(self._partition, 0):
            self._state.add(record)
        self._free_from = await self._history.source_end(self._partition)
        if self._state.waiting:
            self._has_waiting.set()

    def without_deferred(self, messages: Sequence[SourceMessage]) -> list[SourceMessage]:
        """Return records without the events that were deferred before, here or before a crash."""
        decisions = self._state.decisions
        if not decisions:
            return list(messages)
        return [
            replace(each, value=self._split(each, decisions[each.offset])[0])
            if each.offset in decisions
            else each
            for each in messages
        ]

    async def defer(
        self, messages: Sequence[SourceMessage], traces: Collection[TraceKey], committed_to: int
    ) -> list[SourceMessage] | None:
        """Defer the events of traces; return the records without them.

        Returns None if the events must not be deferred: an earlier worker may have folded them, or
        too many wait already.
        """
        decisions = self._state.decisions
        for offset in [offset for offset in decisions if offset <= committed_to]:
            del decisions[offset]
        parts = [(each, *self._split(each, traces)) for each in messages]
        concerned = [(each, deferred) for each, _, deferred in parts if deferred]
        if any(each.offset < self._free_from for each, _ in concerned):
            return None
        if len(self._state.waiting) + len(concerned) > self._records_max:
            metrics.LIMIT_REACHED.labels("deferred_records_max").inc()
            return None
        for each, deferred in concerned:
            decision = Decision(self._fence, each.offset, sorted(traces))
            at = await self._send(self._topics.deferred, deferred, decision_headers(decision))
            decisions.setdefault(each.offset, set()).update(traces)
            self._state.waiting.append(at)
            metrics.DEFERRED.inc(deferred.count(b"\n") + 1)
        self._has_waiting.set()
        return [replace(each, value=kept) for each, kept, _ in parts]

    async def run(self, written: Callable[[], Awaitable[Ends]]) -> None:
        """Append deferred events to their topic again when the store answers, until cancelled.

        1. Wait until the store has all rows written so far, and answers. 2. Append the events.
        3. Write that they were appended. A crash between steps 2 and 3 appends them again, which
        changes nothing.
        """
        while True:
            await self._has_waiting.wait()
            await self._history.stored(self._partition, await written())
            await self._history.trace_version()
            self.is_store_away = False
            first, last = self._state.waiting[0], self._state.waiting[-1]
            appended = 0
            async for record in self._history.deferred(self._partition, first):
                if record.offset <= last and is_decision(record):
                    await self._send(self._topics.events, record.value, ())
                    appended += 1
            await self._send(self._topics.deferred, b"", passed_headers(last))
            self._state.waiting = [offset for offset in self._state.waiting if offset > last]
            if not self._state.waiting:
                self._has_waiting.clear()
            log.info("deferred_events_appended", partition=self._partition, records=appended)

    def _split(self, message: SourceMessage, traces: Collection[TraceKey]) -> tuple[bytes, bytes]:
        return split_lines(message.value, traces, self._limits)

    async def _send(self, topic: str, value: bytes, headers: Headers) -> int:
        return await (await self._output.send(topic, self._partition, value, list(headers)))
