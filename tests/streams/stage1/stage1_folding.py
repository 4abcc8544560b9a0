"""Folds events directly, for the tests in this directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from clickhouse.rows import ObservationRow, TraceRow
from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.effects import Effects
from streams.core.observations.fold import FoldLimits, ObservationsFold
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.seen import SeenTraces
from streams.core.pricing.price_book import Priced
from streams.core.pricing.valuation import NoTokens
from tracemill.contract import Event, Observation, encode_event

NOW_US = 1_795_046_400_000_000
LIMITS = FoldLimits(
    resident_observations_max=10_000,
    resident_text_bytes_max=1_000_000,
    resident_scores_max=1_000,
    dead_letters=DeadLetterLimit(consecutive_max=5, ratio_max=0.5, sample_lines=10),
)


class PerUnit:
    """A unit of the model ``m`` costs 3 picodollars, of ``gold`` $1; others have no price."""

    _PICO = {"m": 3, "gold": 10**12}

    def provider_of(self, model):
        return f"maker of {model}"

    def cost_of(self, project_id, model, usage, at_us, parameters="", served_tier=""):
        pico = self._PICO.get(model)
        if pico is None:
            return Priced({}, 0, "", has_price=False)
        cost = {kind: pico * count for kind, count in usage.items() if kind != "total"}
        return Priced(cost, sum(cost.values()), f"price-{model}", has_price=True)


class Folding:
    """The fold of a partition, fed with events or lines; one source record per call."""

    def __init__(self, limits: FoldLimits = LIMITS, tokens: object = None) -> None:
        self.core = ObservationsFold(
            "events", 0, limits, PerUnit(), tokens or NoTokens(), SeenTraces()
        )
        self.chunk = 0

    def fold(self, *events: Event) -> Effects:
        return self.fold_lines([encode_event(event) for event in events])

    def fold_lines(self, lines: Sequence[bytes]) -> Effects:
        self.chunk += 1
        record = SourceRecord(self.chunk, NOW_US + self.chunk * 1000, b"\n".join(lines))
        records = [read(record)]
        return self.core.fold(records, self.core.needs(records), self.chunk)


def observation(id_: str = "o", ts: int = 0, **said: object) -> Observation:
    said.setdefault("project_id", "p")
    said.setdefault("trace_id", "t")
    return Observation(id=id_, ts_us=NOW_US + ts, **said)


def last_row(effects: Effects) -> ObservationRow:
    return stored(effects.observations)[-1]


def last_trace(effects: Effects) -> TraceRow:
    return [row for row in effects.traces if not row.is_deleted][-1]


def stored(rows: Iterable[ObservationRow]) -> list[ObservationRow]:
    """Rows as the store gets them, without deletions: texts are texts."""
    return [
        msgspec.json.decode(msgspec.json.encode(row), type=type(row))
        for row in rows
        if not row.is_deleted
    ]
