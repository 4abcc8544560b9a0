"""Remove input that crashes the worker from one partition of ``events`` or ``deltas``.

The stage reads ``is_active`` once per batch. It is usually false, and nothing else is called.
Otherwise, the stage calls ``kept``, which removes quarantined input. After an unclean end it calls
``survivors``, which quarantines input that crashes a child process. If no child process crashed but
the worker ended again, it calls ``alone`` for each record.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import structlog

from streams.core.dead_letters.texts import owner_of_delta, owner_of_event
from streams.core.quarantine.dead_letters import dead_letters_of
from streams.core.quarantine.quarantined import (
    DETAIL_MAX_CHARS,
    Attempt,
    Entry,
    Kind,
    is_single,
    is_suspicious,
    offset_to_set_aside,
    without_lines,
)
from streams.quarantine import metrics
from streams.quarantine.log import QuarantineLog, topic_of
from streams.quarantine.suspicion import Culprit, Record, Trials, Work, is_unrelated_to_input
from streams.quarantine.trial import Death
from tracemill.clock import now_us

log = structlog.get_logger(__name__)

STAGES: Final[dict[Kind, str]] = {"events": "observations", "deltas": "projects"}


class Screen:
    """The quarantine of one partition that is assigned to this worker.

    Args:
        span_records: maximum records that the previous worker may have read beyond its output.
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
        self._set_aside_offset: int | None = None
        self._tried_before = 0
        """Offset before which records are first tried in child processes."""

    @property
    def is_active(self) -> bool:
        """Return whether input must be removed or tried."""
        return bool(self._entries) or self._tried_before > 0

    @property
    def trials_begun(self) -> int:
        """Return the number of trials so far, which counts as progress."""
        return self._trials.begun

    def is_tried_first(self, offset: int) -> bool:
        """Return whether a batch that begins at ``offset`` is tried first."""
        return offset < self._tried_before

    def is_alone(self, offset: int) -> bool:
        """Return whether the records of a batch that begins at ``offset`` are processed alone."""
        assert self._attempt is not None, "begin() was not called"
        return is_single(self._attempt) and offset < self._tried_before

    async def begin(self, resume_after: int) -> None:
        """Write that an attempt starts, before anything is processed."""
        kind, partition = self._kind, self._partition
        attempt = self._attempt = await self._log.begin(kind, partition, resume_after)
        if not is_suspicious(attempt):
            return
        metrics.UNCLEAN_ENDS.labels(STAGES[kind]).inc()
        end = await self._log.end_of(kind, partition)
        self._tried_before = min(resume_after + 1 + self._span_records, end)
        self._set_aside_offset = offset_to_set_aside(attempt, self._log.settings.worker_deaths)
        log.warning(
            "worker_ended_uncleanly",
            topic=topic_of(self._log.kafka, kind),
            partition=partition,
            deaths_without_progress=attempt.deaths,
            tried_before_offset=self._tried_before,
            alone=is_single(attempt),
        )

    async def end(self, failure: BaseException | None = None) -> None:
        """Write that the attempt ended cleanly, unless the input may have caused ``failure``."""
        if self._attempt is not None and (failure is None or is_unrelated_to_input(failure)):
            await self._log.end(self._kind, self._partition, self._attempt)

    async def kept(self, records: Sequence[Record]) -> list[Record]:
        """Return the records without quarantined lines; a record may become empty."""
        if self._tried_before and records[0].offset >= self._tried_before:
            self._tried_before = 0
        kept = []
        for record in records:
            if record.offset == self._set_aside_offset and record.offset not in self._entries:
                times = self._log.settings.worker_deaths
                death = Death("worker", f"{times} workers ended while they processed only this")
                await self._set_aside(record, Culprit(0, -1, death))
            entry = self._entries.get(record.offset)
            if entry is not None and entry.timestamp_ms == record.timestamp_ms:
                value = without_lines(record.value, entry.lines)
                kept.append(Record(record.offset, record.timestamp_ms, value))
            else:
                kept.append(record)
        return kept

    async def survivors(self, records: list[Record], work: Work) -> list[Record]:
        """Quarantine input with which ``work`` ends a child process; return the other records.

        Returns the same list if nothing was quarantined.

        Raises:
            QuarantineFullError: the quarantine is full.
        """
        originals = list(records)
        while (culprit := await self._trials.find(records, work)) is not None:
            record = records[culprit.index]
            if not record.value:
                log.error(
                    "trial_inconclusive",
                    reason=f"child processes without input fail: {culprit.death.cause}",
                )
                break
            await self._set_aside(originals[culprit.index], culprit)
            self._tried_before = max(self._tried_before, record.offset + self._span_records)
            records = await self.kept(originals)
        return records

    async def alone(
        self,
        offset: int,
        process: Callable[[], Awaitable[None]],
        done: Callable[[], Awaitable[object]],
    ) -> None:
        """Process one record and write its offset to the log before, in case the process ends.

        1. Write that the record is being processed. 2. Process it and wait until its output is
        acknowledged. 3. Write that it is done, or that ``single_wait_s`` has passed.
        """
        assert self._attempt is not None, "begin() was not called"
        settings = self._log.settings
        async with self._log.alone:
            if offset == self._attempt.suspect_offset:
                await asyncio.sleep(random.uniform(0, settings.single_pause_max_s))  # noqa: S311
            await self._write_single(offset)
            work = asyncio.create_task(_run_in_order(process, done))
            try:
                await asyncio.wait([work], timeout=settings.single_wait_s)
                if not work.done() or work.exception() is None:
                    await self._write_single(-1)
            except BaseException:
                work.cancel()
                raise
        await work

    async def _write_single(self, offset: int) -> None:
        assert self._attempt is not None
        self._attempt = msgspec.structs.replace(self._attempt, single_offset=offset)
        await self._log.write(self._kind, self._partition, self._attempt)

    async def _set_aside(self, record: Record, culprit: Culprit) -> None:
        """Quarantine a line, or the whole record if it has too many such lines.

        ``QuarantineLog.set_aside`` lists the steps.
        """
        kind, partition, settings = self._kind, self._partition, self._log.settings
        before = self._entries.get(record.offset)
        if before is not None and before.timestamp_ms != record.timestamp_ms:
            before = None
        lines: tuple[int, ...] = () if before is None else before.lines
        aside: tuple[int, ...] = ()
        all_lines = record.value.split(b"\n")
        if culprit.line < 0 or len(lines) >= settings.lines_max:
            metrics.LIMIT_REACHED.labels("lines_max").inc(culprit.line >= 0)
            numbers = [n for n, line in enumerate(all_lines) if line and n not in lines]
        else:
            aside, numbers = (*lines, culprit.line), [culprit.line]
        topic = topic_of(self._log.kafka, kind)
        death, noticed_us = culprit.death, now_us()
        owner_of: Callable[[bytes], str] = owner_of_event if kind == "events" else owner_of_delta
        if await self._trials.once(lambda: [owner_of(all_lines[n]) for n in numbers]) is not None:
            owner_of = _no_owner
        dead_letters = dead_letters_of(
            [all_lines[n] for n in numbers],
            owner_of,
            stage=STAGES[kind],
            topic=topic,
            partition=partition,
            offset=record.offset,
            created_us=record.timestamp_ms * 1_000,
            detail=f"processing this input ended the process ({death.cause})",
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
            + sum(len(all_lines[n]) for n in numbers),
            dead_letters=(
                *(before.dead_letters if before else ()),
                *(row.id for row in dead_letters),
            ),
            created_us=before.created_us if before else noticed_us,
            changed_us=noticed_us,
        )
        await self._log.set_aside(entry, dead_letters)
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


def _no_owner(_: bytes) -> str:
    return ""


async def _run_in_order(*steps: Callable[[], Awaitable[object]]) -> None:
    for step in steps:
        await step()
