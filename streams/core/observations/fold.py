"""Fold the events of one partition into rows and deltas; no I/O, no clock, no randomness.

For each chunk of records: ``needs`` returns what must be read back first, ``load`` adds it to the
cache, and ``fold`` returns the effects. What a record produces depends on the records before it in
the partition (and on the prices at the time), not on how records were grouped: a chunk that is
folded again after a crash gives the same rows, versions and deltas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from streams.core.dead_letters.limit import (
    DeadLetterGuard,
    DeadLetterLimit,
    TooManyDeadLettersError,
)
from streams.core.observations.bounding import Bounds
from streams.core.observations.chunk import ChunkFold, PartitionState
from streams.core.observations.deletions import DeletedTraces
from streams.core.observations.effects import Effects
from streams.core.observations.encoding import EncodingLimits
from streams.core.observations.events import EventFold
from streams.core.observations.failures import (
    FoldFailedError,
    TraceFailedError,
)
from streams.core.observations.isolation import Isolation, trace_key_of
from streams.core.observations.limits import DEFAULT_ROW_LIMITS, RowLimits
from streams.core.observations.lines import ObservationLine
from streams.core.observations.reading import (
    PAYLOAD_BYTES_MAX,
    ReadRecord,
)
from streams.core.observations.scores import LatestScores
from streams.core.observations.seen import SeenTraces, trace_hash
from streams.core.observations.trace_cache import ObservationKey, TraceCache, TraceHistory
from streams.core.observations.traces import TraceKey
from streams.core.observations.versions import RecordVersion
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import Tokens
from tracemill.contract import Score

NOTHING_ISOLATED: Final = Isolation()
FIRST_VERSION: Final = RecordVersion(-1, 0)

TRACE_OBSERVATIONS_MAX = 20_000
"""Default maximum of observations of a trace. It is well below the size of the cache, because a
larger trace would evict all others, and would itself be evicted after every chunk and read back for
the next."""

DELETED_TRACE_MEMORY_US: Final = 168 * 3_600_000_000
DELETED_TRACES_MAX: Final = 200_000

DEFAULT_ENCODING: Final = EncodingLimits(
    project_partitions=1, record_bytes=512 * 1024, record_max_bytes=16 * 1024 * 1024
)


@dataclass(frozen=True, slots=True)
class FoldLimits:
    """Limits of one partition (``streams.observations.settings`` describes them)."""

    resident_observations_max: int
    resident_text_bytes_max: int
    resident_scores_max: int
    dead_letters: DeadLetterLimit
    encoding: EncodingLimits = DEFAULT_ENCODING
    trace_observations_max: int = TRACE_OBSERVATIONS_MAX
    dead_letter_payload_bytes_max: int = PAYLOAD_BYTES_MAX
    rows: RowLimits = DEFAULT_ROW_LIMITS
    deleted_trace_memory_us: int = DELETED_TRACE_MEMORY_US
    deleted_traces_max: int = DELETED_TRACES_MAX


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be read back before a chunk is folded.

    Attributes:
        traces: traces that are not cached, or not completely.
        texts: observations of these traces whose texts are needed, too.
        cached: those of ``traces`` of which only texts are missing.
        merged: observations whose events are merged, because one in the chunk is a partial update
            or because their texts were evicted.
        hashes: hashes of the traces that are not cached.
    """

    traces: set[TraceKey]
    texts: set[ObservationKey]
    cached: AbstractSet[TraceKey] = frozenset()
    merged: AbstractSet[ObservationKey] = frozenset()
    hashes: Mapping[TraceKey, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.traces)


class ObservationsFold:
    """The fold of the events of one partition, with its state."""

    def __init__(
        self,
        topic: str,
        partition: int,
        limits: FoldLimits,
        prices: PriceBook,
        tokens: Tokens,
        seen: SeenTraces,
        version: RecordVersion = FIRST_VERSION,
    ) -> None:
        bounds = Bounds(limits.rows)
        self.cache = TraceCache(
            limits.resident_observations_max, limits.resident_text_bytes_max, seen, bounds
        )
        self._scores = LatestScores(limits.resident_scores_max, bounds.reached)
        self.deleted = DeletedTraces(
            limits.deleted_trace_memory_us, limits.deleted_traces_max, bounds.reached
        )
        self._state = PartitionState(
            topic,
            partition,
            self.cache,
            self._scores,
            bounds,
            limits.encoding,
            limits.dead_letter_payload_bytes_max,
            self.deleted,
        )
        self._trace_observations_max = limits.trace_observations_max
        self._prices = prices
        self._tokens = tokens
        self._guard = DeadLetterGuard(limits.dead_letters, f"{topic}/{partition}")
        self._version = version
        """Version of the last folded record."""
        self._before = self._version, self._guard
        """Version and guard before the last chunk."""

    def use_prices(self, prices: PriceBook) -> None:
        """Price the events of later chunks by ``prices``."""
        self._prices = prices

    def take_reached(self) -> dict[str, int]:
        """Return how often each limit was reached since the last call, by its setting's name."""
        counts, seen = self._state.bounds.reached, self.cache.seen
        reached = dict(+counts)
        counts.clear()
        if seen.rejected:
            reached["seen_traces_max"], seen.rejected = seen.rejected, 0
        return reached

    def needs(  # noqa: C901  # hot path
        self, records: Iterable[ReadRecord], isolation: Isolation = NOTHING_ISOLATED
    ) -> Needs:
        """Return what has to be loaded before these records are folded."""
        set_aside = isolation.set_aside
        traces, seen, deleted = self.cache.traces, self.cache.seen, self.deleted.by_trace
        missing: set[TraceKey] = set()
        hashes: dict[TraceKey, int] = {}
        merged: set[ObservationKey] = set()
        cached: set[TraceKey] = set()
        for record in records:
            for index, line in enumerate(record.lines):
                if isinstance(line, Score) or (set_aside and (record.offset, index) in set_aside):
                    continue
                key = (line.project_id, line.trace_id)
                if deleted and key in deleted and self.deleted.drops(key, record.append_us):
                    continue
                trace = traces.get(key)
                if trace is None and key not in hashes:
                    wanted = hashes[key] = trace_hash(key)
                    if seen.is_full or seen.has_hash(wanted):
                        missing.add(key)
                if not isinstance(line, ObservationLine):
                    continue
                if line.partial:
                    merged.add((key, line.id))
                    state = None if trace is None else trace.observations.get(line.id)
                    if state is not None and state.merged is None and line.ts_us >= state.ts_us:
                        cached.add(key)
                if trace is not None and trace.evicted_texts and line.id in trace.evicted_texts:
                    merged.add((key, line.id))
                    cached.add(key)
        missing |= cached
        texts = {key for key in merged if key[0] in missing}
        return Needs(missing, texts, cached, merged, hashes)

    def load(self, histories: Iterable[TraceHistory], needs: Needs) -> None:
        """Add traces that were read back to the cache.

        Raises:
            TraceFailedError: a row cannot be converted; later traces are not loaded.
        """
        for history in histories:
            try:
                self.cache.load(history, needs.texts)
            except MemoryError:
                raise
            except Exception as error:
                self.cache.forget([history.key])
                raise TraceFailedError(history.key) from error

    def forget(self, records: Iterable[ReadRecord]) -> None:
        """Drop the traces of these records, because an attempt to fold them failed.

        They are read back before the next attempt.
        """
        keys: set[TraceKey] = set()
        for record in records:
            if record.offset <= self._version.offset:
                # Folded but not encoded, so it will be folded again.
                self._version, self._guard = self._before
            for line in record.lines:
                key = trace_key_of(line)
                if key is not None:
                    keys.add(key)
                elif isinstance(line, Score):
                    self._scores.forget(line)
        self.cache.forget(keys)
        self.deleted.forget_after(self._version.version)

    def fold(
        self,
        records: Sequence[ReadRecord],
        needs: Needs,
        chunk: int,
        isolation: Isolation = NOTHING_ISOLATED,
    ) -> Effects:
        """Return the effects of a chunk of records.

        Args:
            records: the next records of the partition.
            needs: what ``needs`` returned for them; it must have been loaded.
            chunk: number of the chunk, from 1.
            isolation: events to set aside, and traces to check, because of earlier failures.

        Raises:
            EventFailedError: an event raised while it changed state. ``forget`` the records, then
                fold them again without it.
            FoldFailedError: another step raised. ``forget`` the records, then fold them again.
            TooManyDeadLettersError: most of the input is rejected.
        """
        effects, guard, version = Effects(records[-1].offset), self._guard.copy(), self._version
        events = EventFold(
            self.cache,
            self._prices,
            self._tokens,
            self._trace_observations_max,
            self._state.bounds,
            needs.merged,
            effects,
        )
        self.deleted.begin()
        folding = ChunkFold(self._state, events, effects, guard, isolation, needs.hashes)
        try:
            for record in records:
                version = version.of_next(record.offset, record.append_us)
                folding.record(record, version.version)
            folding.finish(chunk)
        except (FoldFailedError, MemoryError, TooManyDeadLettersError):
            raise
        except Exception as error:
            raise FoldFailedError("a chunk") from error
        self._before = self._version, self._guard
        self._version, self._guard = version, guard
        effects.trace_version = version.version
        return effects
