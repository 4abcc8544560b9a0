"""How long stage 1 takes for one event, alone, without Kafka: `.venv/bin/python tests/bench/bench_stage1.py [EVENTS]`.

Whole observations of RAG-like traces, 64 to a record, through decode, fold, price and the encoding of rows and deltas.
"""

from __future__ import annotations

import random
import sys
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "producers" / "sdk")]

import msgspec  # noqa: E402

from streams.core.dead_letters import DeadLetterLimit  # noqa: E402
from streams.core.pipeline import FoldLimits, ObservationsFold  # noqa: E402
from streams.core.pricing import PriceBook  # noqa: E402
from streams.core.reading import SourceRecord, read  # noqa: E402
from streams.core.seen import SeenTraces  # noqa: E402
from streams.core.valuation import NoTokens  # noqa: E402
from tracemill.contract import Observation, TraceAttributes, encode_event  # noqa: E402

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


def run(load: Load) -> list[dict[str, float]]:
    """Seconds of processor time of each chunk, by part."""
    limits = FoldLimits(50_000, 64 << 20, 10_000, DeadLetterLimit(1000, 0.5, 10_000))
    fold = ObservationsFold(
        "events", 0, limits, PriceBook(), NoTokens(), SeenTraces(array("Q", range(1_000_000)))
    )
    encode_lines = msgspec.json.Encoder().encode_lines
    spent = []
    for chunk, first in enumerate(range(0, len(load.records), RECORDS_PER_CHUNK), start=1):
        times = [time.process_time()]
        records = [read(record) for record in load.records[first : first + RECORDS_PER_CHUNK]]
        times.append(time.process_time())
        fold.needs(records)
        times.append(time.process_time())
        effects = fold.fold(records, chunk)
        times.append(time.process_time())
        for rows in (effects.observations, effects.traces, effects.deltas):
            encode_lines(rows)
        times.append(time.process_time())
        spent.append({part: times[at + 1] - times[at] for at, part in enumerate(PARTS)})
    return spent


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    load = load_of(events)
    run(load)  # the price book fills its caches
    chunks = sorted((chunk for _ in range(3) for chunk in run(load)[:-1]), key=_total)
    print(f"{load.events} events of {load.bytes // load.events} bytes, µs/event:")
    for name, share in (("median chunk", 0.5), ("a quiet machine's (5th percentile)", 0.05)):
        at = int(len(chunks) * share)
        near = chunks[max(0, at - 5) : at + 6]
        us = {
            part: sum(each[part] for each in near) / len(near) / EVENTS_PER_CHUNK * 1e6
            for part in PARTS
        }
        total_us = sum(us.values())
        parts = "  ".join(f"{part} {each:.1f}" for part, each in us.items())
        print(f"{name}: {total_us:.1f} ({parts}) = {1e6 / total_us:,.0f} events/s on one core")


def _total(chunk: dict[str, float]) -> float:
    return sum(chunk.values())


if __name__ == "__main__":
    main()
