"""Run the pure core of stage 1 between a log and a store in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from clickhouse.rows import DeadLetterRow, ObservationRow, ScoreRow, TraceRow
from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.bounding import Bounds
from streams.core.observations.encoding import EncodedChunk, EncodingLimits, encoded
from streams.core.observations.fold import FoldLimits, Needs, ObservationsFold
from streams.core.observations.limits import DELTA_USAGE_TYPES_MAX
from streams.core.observations.metadata import Metadata
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.seen import SeenTraces
from streams.core.observations.trace_cache import TraceHistory
from streams.core.observations.traces import TraceKey
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import Tokens
from streams.core.rollups.amounts import row_amount
from streams.core.rollups.deltas import Delta

MIB = 2**20
ENCODING = EncodingLimits(1, 64 * 1024, 16 * MIB)
_observations = msgspec.json.Decoder(ObservationRow)
_traces = msgspec.json.Decoder(TraceRow)
_scores = msgspec.json.Decoder(ScoreRow)
_deltas = msgspec.json.Decoder(Delta)
_letters = msgspec.json.Decoder(DeadLetterRow)


class CoreWorld:
    """One partition.

    Args:
        observations_max, text_bytes_max: limits of memory; low ones cause many evictions.
        tokens: estimates what nobody counted.
    """

    def __init__(self, tokens: Tokens, *, observations_max: int, text_bytes_max: int) -> None:
        limits = FoldLimits(
            observations_max, text_bytes_max, 20, DeadLetterLimit(10**9, 1.0, 10**9), ENCODING
        )
        self.core = ObservationsFold("events", 0, limits, PriceBook(), tokens, SeenTraces())
        self.observations: dict[TraceKey, dict[str, ObservationRow]] = defaultdict(dict)
        self.traces: dict[TraceKey, TraceRow] = {}
        self.scores: dict[tuple[str, str], ScoreRow] = {}
        self.dead_letters: list[DeadLetterRow] = []
        self.largest = 0
        """Bytes of the largest record."""
        self.read_back = 0
        self.reached: Counter[str] = Counter()
        self._windows: Counter[Any] = Counter()
        self._spend: Counter[Any] = Counter()
        self._chunk = 0

    def fold(self, records: Sequence[SourceRecord]) -> None:
        self._chunk += 1
        lines = [read(record) for record in records]
        needs = self.core.needs(lines)
        if needs:
            self.read_back += len(needs.traces)
            self.core.load(self._histories(needs), needs)
        effects = self.core.fold(lines, needs, self._chunk)
        self._keep(encoded(effects, ENCODING))
        self.reached.update(self.core.take_reached())

    def _histories(self, needs: Needs) -> Iterable[TraceHistory]:
        for key in needs.traces:
            rows = self.observations.get(key, {})
            if key in needs.cached:
                wanted = [rows[id_] for of, id_ in needs.texts if of == key and id_ in rows]
                yield TraceHistory(key, None, wanted)
            elif key in self.traces:
                yield TraceHistory(key, self.traces[key], list(rows.values()))

    def _keep(self, chunk: EncodedChunk) -> None:
        values = [value for _, value in chunk.deltas]
        for each in (values, chunk.dead_letters, chunk.scores, chunk.traces, chunk.observations):
            self.largest = max(self.largest, *map(len, each), 0)
        for value in values:
            for delta in _deltas.decode_lines(value):
                self._apply(delta)
        for value in chunk.observations:
            for row in _observations.decode_lines(value):
                of_trace = self.observations[row.project_id, row.trace_id]
                if not row.is_deleted:
                    of_trace[row.id] = row
        for value in chunk.traces:
            for trace in _traces.decode_lines(value):
                if not trace.is_deleted:
                    self.traces[trace.project_id, trace.id] = trace
        for value in chunk.scores:
            for score in _scores.decode_lines(value):
                held = self.scores.get((score.project_id, score.id))
                if held is None or score.row_version >= held.row_version:
                    self.scores[score.project_id, score.id] = score
        for value in chunk.dead_letters:
            self.dead_letters += _letters.decode_lines(value)

    def _apply(self, delta: Delta) -> None:
        for window in delta.windows:
            key = (delta.project_id, window.window_s, window.environment, window.model, window.name)
            self._windows[*key, "count"] += window.observations
            self._windows[*key, "errors"] += window.errors
            self._windows[*key, "cost"] += window.cost_pico
            self._windows[*key, "usage"] += sum(window.usage.values())
            assert len(window.usage) <= DELTA_USAGE_TYPES_MAX + 1
        for spend in delta.spend:
            key = (delta.project_id, spend.bucket_s, spend.user_id, spend.model, spend.environment)
            self._spend[key] += spend.cost_pico

    def check_totals(self) -> None:
        """Whatever was counted follows from the rows of observations."""
        windows: Counter[Any] = Counter()
        spend: Counter[Any] = Counter()
        for key, rows in self.observations.items():
            trace = self.traces[key]
            for row in rows.values():
                cell = (
                    key[0],
                    row.start_us // 10_000_000 * 10,
                    row.environment,
                    row.model,
                    row.name,
                )
                windows[*cell, "count"] += 1
                windows[*cell, "errors"] += row.level == "ERROR"
                usage, cost_pico = counted(trace, row)
                windows[*cell, "cost"] += cost_pico
                windows[*cell, "usage"] += sum(usage.values())
                start_s = row.start_us // 10_000_000 * 10
                spend[key[0], start_s, trace.user_id, row.model, row.environment] += cost_pico
            assert trace.observation_count == len(rows), key
            total_pico = row_amount(sum(counted(trace, row)[1] for row in rows.values()))
            assert trace.total_cost_pico == total_pico, key
            assert trace.error_count == sum(row.level == "ERROR" for row in rows.values()), key
        assert {k: n for k, n in windows.items() if n} == {
            k: n for k, n in self._windows.items() if n
        }
        assert {k: n for k, n in spend.items() if n} == {k: n for k, n in self._spend.items() if n}

    def state(self) -> tuple[Any, ...]:
        """Return the stored rows without fields that depend on the order of partial updates."""
        observations = {
            (key, id_): _plain(row)
            for key, rows in self.observations.items()
            for id_, row in rows.items()
        }
        return (
            observations,
            self.traces,
            self.scores,
            self._windows,
            self._spend,
            self.dead_letters,
        )


def counted(trace: TraceRow, row: ObservationRow) -> tuple[dict[str, int], int]:
    """Return the usage and picodollars of an observation that totals include."""
    if row.id not in trace.summaries:
        return row.usage, row.total_cost_pico
    usage = dict(trace.summaries[row.id])
    return usage, usage.pop("cost_pico", 0)


def _plain(row: ObservationRow) -> ObservationRow:
    """Return a row without merge state and attributes of its trace, with merged metadata."""
    metadata = row.metadata
    if metadata and not row.merge_state:
        merged = Metadata()
        Bounds().merge_metadata(merged, metadata, 0)
        metadata = merged.text()
    return msgspec.structs.replace(
        row, merge_state="", user_id="", session_id="", metadata=metadata
    )
