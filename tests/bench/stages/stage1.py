"""Measure stage 1 without Kafka: decode, fold, price, and encode rows and deltas."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.effects import Effects
from streams.core.observations.fold import FoldLimits, ObservationsFold
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.seen import SeenTraces
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import NoTokens
from tests.bench.stages import Cost
from tracemill.contract import Observation, TraceAttributes, encode_event

START_US = 1_795_000_000_000_000
PER_RECORD, RECORDS_PER_CHUNK = 64, 4
EVENTS_PER_CHUNK = PER_RECORD * RECORDS_PER_CHUNK
PARTS = ("decode", "needs", "fold", "encode")
MODELS = ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5")
TEXT = '[{"role": "user", "content": "%s"}]' % ("What does the contract say about notice? " * 8)


@dataclass(frozen=True)
class Load:
    records: list[SourceRecord]
    events: int
    bytes: int


def load_of(events: int) -> Load:
    """Traces of 6 observations, interleaved as concurrent requests are."""
    chance = random.Random(7)
    open_traces: list[tuple[str, int]] = []
    lines: list[bytes] = []
    while len(lines) < events:
        if len(open_traces) < 50:
            open_traces.append((f"{chance.getrandbits(128):032x}", 0))
        at = chance.randrange(len(open_traces))
        trace_id, position = open_traces[at]
        lines.append(encode_event(_observation(chance, trace_id, position, len(lines))))
        if position == 5:
            open_traces.pop(at)
        else:
            open_traces[at] = (trace_id, position + 1)
    records = [
        SourceRecord(offset, START_US + first * 50, b"\n".join(lines[first : first + PER_RECORD]))
        for offset, first in enumerate(range(0, len(lines), PER_RECORD))
    ]
    return Load(records, len(lines), sum(map(len, lines)))


def _observation(chance: random.Random, trace_id: str, position: int, number: int) -> Observation:
    start_us = START_US + number * 50
    generation = position in (2, 4)
    return Observation(
        project_id="default",
        trace_id=trace_id,
        id=f"{chance.getrandbits(64):016x}",
        ts_us=start_us,
        type="GENERATION" if generation else "SPAN",
        name=("answer", "retrieve", "draft", "rerank", "final", "guard")[position],
        parent_id=None if position == 0 else "0123456789abcdef",
        environment="production",
        start_us=start_us,
        end_us=start_us + chance.randrange(1_000, 3_000_000),
        level="ERROR" if chance.random() < 0.01 else "DEFAULT",
        model=chance.choice(MODELS) if generation else None,
        model_parameters='{"temperature":0.2}' if generation else None,
        usage={"input": chance.randrange(2000), "output": chance.randrange(500)}
        if generation
        else None,
        input=TEXT,
        output=TEXT if generation else "ok",
        metadata='{"resourceAttributes":{"service.name":"rag"},"scope":{"name":"langfuse-sdk"}}',
        service_name="rag",
        scope_name="langfuse-sdk",
        trace=TraceAttributes(user_id=f"user-{trace_id[:2]}", session_id="s-1", name="chat"),
    )


def _new_fold() -> ObservationsFold:
    limits = FoldLimits(50_000, 64 << 20, 10_000, DeadLetterLimit(1000, 0.5, 10_000))
    return ObservationsFold(
        "events", 0, limits, PriceBook(), NoTokens(), SeenTraces(array("Q", range(1_000_000)))
    )


def run(load: Load) -> list[dict[str, float]]:
    """Seconds of processor time of each chunk, by part."""
    fold = _new_fold()
    encode_lines = msgspec.json.Encoder().encode_lines
    spent = []
    for chunk, first in enumerate(range(0, len(load.records), RECORDS_PER_CHUNK), start=1):
        times = [time.process_time()]
        records = [read(record) for record in load.records[first : first + RECORDS_PER_CHUNK]]
        times.append(time.process_time())
        needs = fold.needs(records)
        times.append(time.process_time())
        effects = fold.fold(records, needs, chunk)
        times.append(time.process_time())
        for rows in (effects.observations, effects.traces, effects.deltas):
            encode_lines(rows)
        times.append(time.process_time())
        spent.append({part: times[at + 1] - times[at] for at, part in enumerate(PARTS)})
    return spent


def costs(events: int = 40_000) -> list[Cost]:
    """Of the quieter half of all chunks: what disturbed the others was not the stage."""
    load = load_of(events)
    run(load)  # the price book fills its caches
    chunks = sorted((chunk for _ in range(3) for chunk in run(load)[:-1]), key=_total)
    quiet = chunks[: len(chunks) // 2]
    what = {
        "decode": f"decode events, {load.bytes // load.events} B",
        "needs": "look for what must be read back",
        "fold": "merge, price, total",
        "encode": "encode rows and deltas",
    }
    return [
        Cost(
            "streams, stage 1",
            what[part],
            sum(chunk[part] for chunk in quiet) / len(quiet) / EVENTS_PER_CHUNK * 1e6,
        )
        for part in PARTS
    ]


def encoded_rows(events: int) -> tuple[bytes, bytes]:
    """Rows of the tables observations and traces as stage 1 writes them, NDJSON."""
    encode_lines = msgspec.json.Encoder().encode_lines
    observations, traces = bytearray(), bytearray()
    for effects in _effects_of(load_of(events)):
        observations += encode_lines(effects.observations)
        traces += encode_lines(effects.traces)
    return bytes(observations), bytes(traces)


def _effects_of(load: Load) -> Iterator[Effects]:
    fold = _new_fold()
    for chunk, first in enumerate(range(0, len(load.records), RECORDS_PER_CHUNK), start=1):
        records = [read(record) for record in load.records[first : first + RECORDS_PER_CHUNK]]
        yield fold.fold(records, fold.needs(records), chunk)


def _total(chunk: dict[str, float]) -> float:
    return sum(chunk.values())
