"""Find the input that crashes the process, by trying it in child processes.

``streams.observations.screen`` and ``streams.rollups.screen`` use this when the previous process
has not ended cleanly. Each batch is first tried as a whole. If that fails, a binary search finds
the shortest failing prefix, first by records, then by lines of the last record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from clickhouse.errors import StoreError
from producers.errors import ProducersError
from streams.core.dead_letters.limit import TooManyDeadLettersError
from streams.errors import StreamsError
from streams.quarantine import metrics
from streams.quarantine.settings import QuarantineSettings
from streams.quarantine.trial import Death, TrialImpossibleError, trial

log = structlog.get_logger(__name__)

ENVIRONMENT_ERRORS: Final = (KafkaError, StoreError, ProducersError, StreamsError, OSError)
"""Exceptions that do not depend on the input."""


def is_unrelated_to_input(error: BaseException) -> bool:
    """Return whether the processed input cannot be the cause of a failure."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_unrelated_to_input, error.exceptions))
    if isinstance(error, MessageSizeTooLargeError):
        return False
    return isinstance(error, (*ENVIRONMENT_ERRORS, TooManyDeadLettersError))


@dataclass(frozen=True, slots=True)
class Record:
    """A source record that is tried, possibly without some of its lines."""

    offset: int
    timestamp_ms: int
    value: bytes


Work = Callable[[Sequence[Record]], object]
"""Process records in a child process, as the stage would."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """The record and the line that cause the failure; line -1: the whole record."""

    index: int
    line: int
    death: Death


class Trials:
    """Child processes that run ``work`` on records."""

    def __init__(self, settings: QuarantineSettings) -> None:
        self._settings = settings
        self.begun = 0
        """Number of child processes so far; each counts as progress, because many may take long."""

    async def once(self, work: Callable[[], object]) -> Death | None:
        settings = self._settings
        self.begun += 1
        death = await trial(
            work,
            timeout_s=settings.trial_timeout_s,
            memory_bytes_max=settings.trial_memory_bytes_max,
            expected=(TooManyDeadLettersError,),
        )
        metrics.TRIALS.labels("passed" if death is None else "died").inc()
        return death

    async def find(self, records: Sequence[Record], work: Work) -> Culprit | None:
        """Return the first input that makes child processes fail, or None.

        All records together are tried up to ``trial_deaths`` times; one success means None. Returns
        None also if child processes without input fail or none can be created, because trials prove
        nothing then.
        """
        try:
            death = None
            for _ in range(self._settings.trial_deaths):
                death = await self.once(lambda: work(records))
                if death is None:
                    return None
            assert death is not None
            if await self.once(lambda: None) is not None:
                log.error(
                    "trial_inconclusive",
                    reason=f"child processes without input fail: {death.cause}",
                )
                return None
            return await self._first(records, work, death)
        except TrialImpossibleError as error:
            log.warning("trial_inconclusive", reason=f"cannot create a child process: {error}")
            metrics.TRIALS.labels("impossible").inc()
            return None

    async def _first(self, records: Sequence[Record], work: Work, death: Death) -> Culprit:
        count, death = await self._shortest(len(records), lambda n: work(records[:n]), death)
        index = count - 1
        before, record = records[:index], records[index]
        lines = record.value.split(b"\n")

        def work_on_lines(n: int) -> object:
            return work([*before, Record(record.offset, record.timestamp_ms, _joined(lines[:n]))])

        number, death = await self._shortest(len(lines), work_on_lines, death)
        if len(lines) == 1 or not lines[number - 1].strip():
            return Culprit(index, -1, death)
        return Culprit(index, number - 1, death)

    async def _shortest(
        self, length: int, work: Callable[[int], object], death: Death
    ) -> tuple[int, Death]:
        """Return the length of the shortest failing prefix, given that the whole fails."""
        passes, fails = 0, length
        while fails - passes > 1:
            middle = (passes + fails) // 2
            died = await self.once(lambda n=middle: work(n))  # type: ignore[misc]
            if died is None:
                passes = middle
            else:
                fails, death = middle, died
        return fails, death


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"\n".join(lines)
