"""Keeps what kills the worker out of one partition of ``events`` or ``deltas``.

The stage asks ``is_active`` once for each batch; false, as it nearly always is, costs nothing
more. Otherwise the batch goes through ``kept`` (what is in quarantine is left out), ``survivors``
(after an unclean end: what ends a child process is set aside) and, where child processes found
nothing and the worker still died, record by record through ``alone``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import structlog

from streams.core.dead_letters.texts import owner_of_delta, owner_of_event
from streams.core.quarantine.letters import letters_of
from streams.core.quarantine.quarantined import (
    DETAIL_MAX_CHARS,
    Attempt,
    Entry,
    Kind,
    guilty_offset,
    is_single,
    is_suspicious,
    without_lines,
)
from streams.quarantine import metrics
from streams.quarantine.log import QuarantineLog, topic_of
from streams.quarantine.suspicion import Culprit, Record, Trials, Work, is_blameless
from streams.quarantine.trial import Death

log = structlog.get_logger(__name__)

STAGES: Final[dict[Kind, str]] = {"events": "observations", "deltas": "projects"}


class Screen:
    """The quarantine of one partition, while this worker has it.

    Args:
        span_records: how many records the worker before may have taken beyond its output.
    """

    def __init__(
        self, quarantine: QuarantineLog, kind: Kind, partition: int, span_records: int
    ) -> None:
        self._log = quarantine
        self._kind: Kind = kind
        self._partition = partition
        self._span_records = span_records
        self._entries = quarantine.entries(kind, partition)
        self._trials = Trials(quarantine.settings)
        self._attempt: Attempt | None = None
        self._guilty: int | None = None
        self._careful_before = 0
        """Records before this offset are tried first."""

    @property
    def is_active(self) -> bool:
        """Whether anything is left out or tried."""
        return bool(self._entries) or self._careful_before > 0

    @property
    def trials_begun(self) -> int:
        """Grows while child processes try what the partition's position does not pass yet."""
        return self._trials.begun

    def is_careful(self, offset: int) -> bool:
        """Whether a batch that begins with this record is tried first."""
        return offset < self._careful_before

    def is_alone(self, offset: int) -> bool:
        """Whether the records of such a batch are processed one by one."""
        assert self._attempt is not None, "begin() comes first"
        return self.is_careful(offset) and is_single(self._attempt)

    async def begin(self, resume_after: int) -> None:
        """Record the start of an attempt at the partition, before anything is processed."""
        kind, partition = self._kind, self._partition
        attempt = self._attempt = await self._log.begin(kind, partition, resume_after)
        if not is_suspicious(attempt):
            return
        metrics.UNCLEAN_ENDS.labels(STAGES[kind]).inc()
        end = await self._log.end_of(kind, partition)
        self._careful_before = min(resume_after + 1 + self._span_records, end)
        self._guilty = guilty_offset(attempt, self._log.settings.worker_deaths)
        log.warning(
            "worker_ended_uncleanly",
            topic=topic_of(self._log.kafka, kind),
            partition=partition,
            deaths_without_progress=attempt.deaths,
            tried_before_offset=self._careful_before,
            alone=is_single(attempt),
        )

    async def end(self, failure: BaseException | None = None) -> None:
        """Record a clean end, unless the partition failed in a way that its input may have caused."""
        if self._attempt is not None and (failure is None or is_blameless(failure)):
            await self._log.end(self._kind, self._partition, self._attempt)

    async def kept(self, records: Sequence[Record]) -> list[Record]:
        """Return the records without quarantined lines; records without any other lines are empty."""
        if self._careful_before and records[0].offset >= self._careful_before:
            self._careful_before = 0
        kept = []
        for record in records:
            if record.offset == self._guilty and record.offset not in self._entries:
                times = self._log.settings.worker_deaths
                death = Death("worker", f"{times} workers ended while they processed it alone")
                await self._set_aside(record, Culprit(0, -1, death))
            entry = self._entries.get(record.offset)
            if entry is not None and entry.timestamp_ms == record.timestamp_ms:
                value = without_lines(record.value, entry.lines)
                kept.append(Record(record.offset, record.timestamp_ms, value))
            else:
                kept.append(record)
        return kept

    async def survivors(self, records: list[Record], work: Work) -> list[Record]:
        """The records without what ends a child process that does ``work`` on them; it is set
        aside.

        They are the same list where nothing was.

        Raises:
            QuarantineFullError: there is too much of it.
        """
        originals = list(records)
        while (culprit := await self._trials.find(records, work)) is not None:
            record = records[culprit.index]
            if not record.value:
                log.error("trial_inconclusive", reason=f"empty records die: {culprit.death.cause}")
                break
            await self._set_aside(originals[culprit.index], culprit)
            self._careful_before = max(self._careful_before, record.offset + self._span_records)
            records = await self.kept(originals)
        return records

    async def alone(
        self,
        offset: int,
        process: Callable[[], Awaitable[None]],
        done: Callable[[], Awaitable[object]],
    ) -> None:
        """Process one record, so that the log names it should the process end.

        1. Write that it is entered. 2. Process it, and wait until its output is acknowledged, at
        most ``single_wait_s`` with the blame on it. 3. Write that it is not entered any more.
        """
        assert self._attempt is not None, "begin() comes first"
        settings = self._log.settings
        async with self._log.alone:
            if offset == self._attempt.blamed:
                await asyncio.sleep(random.uniform(0, settings.single_pause_max_s))  # noqa: S311
            await self._enter(offset)
            work = asyncio.create_task(_in_turn(process, done))
            try:
                await asyncio.wait([work], timeout=settings.single_wait_s)
                if not work.done() or work.exception() is None:
                    await self._enter(-1)
            except BaseException:
                work.cancel()
                raise
        await work

    async def _enter(self, offset: int) -> None:
        assert self._attempt is not None
        self._attempt = msgspec.structs.replace(self._attempt, entering=offset)
        await self._log.write(self._kind, self._partition, self._attempt)

    async def _set_aside(self, record: Record, culprit: Culprit) -> None:
        """Quarantine a line, or the record where that would be too many.

        What is written comes from ``QuarantineLog.set_aside``.
        """
        kind, partition, settings = self._kind, self._partition, self._log.settings
        before = self._entries.get(record.offset)
        if before is not None and before.timestamp_ms != record.timestamp_ms:
            before = None
        lines: tuple[int, ...] = () if before is None else before.lines
        aside: tuple[int, ...] = ()
        every = record.value.split(b"\n")
        if culprit.line < 0 or len(lines) >= settings.lines_max:
            metrics.LIMIT_REACHED.labels("lines_max").inc(culprit.line >= 0)
            numbers = [n for n, line in enumerate(every) if line and n not in lines]
        else:
            aside, numbers = (*lines, culprit.line), [culprit.line]
        topic = topic_of(self._log.kafka, kind)
        death, now_us = culprit.death, time.time_ns() // 1_000
        owner_of: Callable[[bytes], str] = owner_of_event if kind == "events" else owner_of_delta
        if await self._trials.once(lambda: [owner_of(every[n]) for n in numbers]) is not None:
            owner_of = _nobody
        letters = letters_of(
            [(n, every[n]) for n in numbers],
            owner_of,
            stage=STAGES[kind],
            topic=topic,
            partition=partition,
            offset=record.offset,
            created_us=record.timestamp_ms * 1_000,
            detail=f"processing it ended the process ({death.cause})",
            payload_bytes_max=settings.payload_bytes_max,
        )
        entry = Entry(
            kind=kind,
            partition=partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            state="quarantined",
            lines=aside,
            cause=death.cause,
            detail=death.trace[-DETAIL_MAX_CHARS:],
            payload_bytes=(before.payload_bytes if before else 0)
            + sum(len(every[n]) for n in numbers),
            dead_letters=(*(before.dead_letters if before else ()), *(row.id for row in letters)),
            created_us=before.created_us if before else now_us,
            changed_us=now_us,
        )
        await self._log.set_aside(entry, letters)
        metrics.QUARANTINED.labels(STAGES[kind]).inc()
        log.error(
            "record_quarantined",
            topic=topic,
            partition=partition,
            offset=record.offset,
            lines=list(aside) or "all",
            cause=death.cause,
            look=f"tracemill quarantine show {entry.id}",
        )


def _nobody(_: bytes) -> str:
    return ""


async def _in_turn(*steps: Callable[[], Awaitable[object]]) -> None:
    for step in steps:
        await step()
