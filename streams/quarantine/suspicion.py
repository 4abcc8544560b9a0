"""Finds the input that ends the process working on it, by trying it in child processes.

Used by the screens of both stages (``streams.observations.screen``, ``streams.rollups.screen``)
after an unclean end. Each batch is tried whole first. If that fails, a binary search finds its
shortest failing prefix, first by records, then by lines of the last record.
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
    """Return whether the input that was being processed cannot have caused a failure."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_unrelated_to_input, error.exceptions))
    if isinstance(error, MessageSizeTooLargeError):
        return False
    return isinstance(error, (*ENVIRONMENT_ERRORS, TooManyDeadLettersError))


@dataclass(frozen=True, slots=True)
class Record:
    """A source record, or what remains of it, while it is tried."""

    offset: int
    timestamp_ms: int
    value: bytes


Work = Callable[[Sequence[Record]], object]
"""Processes records as the stage would; called in a child process."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """The record, and its line, that the failure needs; line -1: the whole record."""

    index: int
    line: int
    death: Death


class Trials:
    """Runs ``work`` on records in child processes."""

    def __init__(self, settings: QuarantineSettings) -> None:
        self._settings = settings
        self.begun = 0
        """Child processes so far; each counts as progress, since many may take long."""

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
        """Return the first input that ends ``trial_deaths`` child processes in a row; None usually.

        Also returns None if idle child processes die, too, or cannot be created: that proves
        nothing.
        """
        try:
            death = None
            for _ in range(self._settings.trial_deaths):
                death = await self.once(lambda: work(records))
                if death is None:
                    return None
            assert death is not None
            if await self.once(lambda: None) is not None:
                log.error("trial_inconclusive", reason=f"idle child processes die: {death.cause}")
                return None
            return await self._first(records, work, death)
        except TrialImpossibleError as error:
            log.warning("trial_inconclusive", reason=f"no child process: {error}")
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
        """Return the length of the shortest failing prefix; the whole is known to fail."""
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
