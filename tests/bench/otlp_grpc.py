"""`python -m tests.bench.otlp_grpc --seconds N`: OpenTelemetry's own gRPC exporter at a fixed rate.

Exits with 1 if a span was lost, or if the 99th percentile of an export is above the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tests.bench.otlp_load import INPUT, OUTPUT, Answers
from tests.bench.phases import Measured, count_visible
from tests.bench.temporary_server import temporary_server
from tests.fixtures.installation import Server

ENVIRONMENT = "otlp-grpc"
TRACES_PER_TICK = 10
SPANS_OF_TRACE = 5
QUEUE_SPANS_MAX = 100_000
"""Of the SDK: what it drops because it is full would not be the server's fault."""


@dataclass
class Timed(SpanExporter):
    """Measures each export of another exporter."""

    exporter: OTLPSpanExporter
    exports_s: list[float] = field(default_factory=list)
    spans: int = 0
    failed_spans: int = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        begun_s = time.perf_counter()
        result = self.exporter.export(spans)
        self.exports_s.append(time.perf_counter() - begun_s)
        if result is SpanExportResult.SUCCESS:
            self.spans += len(spans)
        else:
            self.failed_spans += len(spans)
        return result

    def shutdown(self) -> None:
        self.exporter.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.otlp_grpc", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=1_000, help="spans per second")
    parser.add_argument("--p99-max-ms", type=float, default=50)
    parser.add_argument("--gzip", action="store_true")
    options = parser.parse_args()
    with temporary_server() as server:
        begun_s = time.perf_counter()
        sent, timed = send(server, options)
        measured = Measured("", Answers(accepted_spans=sent))
        asyncio.run(_count(server, measured, begun_s))
        edge = server.usage()["edge"]
    cuts = statistics.quantiles(timed.exports_s, n=100)
    lost = sent - measured.visible_spans
    print(
        f"{sent:,} spans in {len(timed.exports_s)} exports, {timed.failed_spans:,} failed, "
        f"{lost:,} lost; an export: p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms, "
        f"max {max(timed.exports_s) * 1e3:.1f} ms; edge {edge.rss_bytes / 1e6:.0f} MB"
    )
    return int(lost != 0 or cuts[98] * 1e3 > options.p99_max_ms)


def send(server: Server, options: Any) -> tuple[int, Timed]:
    """Make spans at a fixed rate; returns how many, and what their exports took."""
    credential = base64.b64encode(f"{server.public_key}:{server.secret_key}".encode()).decode()
    timed = Timed(
        OTLPSpanExporter(
            endpoint=f"http://127.0.0.1:{server.grpc_port}",
            insecure=True,
            headers=(("authorization", f"Basic {credential}"),),
            compression=_compression(options.gzip),
        )
    )
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(timed, max_queue_size=QUEUE_SPANS_MAX))
    tracer = provider.get_tracer("langfuse-sdk")
    begun_s = time.perf_counter()
    sent = 0
    while (elapsed_s := time.perf_counter() - begun_s) < options.seconds:
        for _ in range(TRACES_PER_TICK):
            _trace(tracer)
        sent += TRACES_PER_TICK * SPANS_OF_TRACE
        time.sleep(max(0.0, sent / options.rate - elapsed_s))
    provider.shutdown()
    return sent, timed


def _trace(tracer: Any) -> None:
    with tracer.start_as_current_span("answer-question") as root:
        root.set_attribute("langfuse.environment", ENVIRONMENT)
        for number in range(SPANS_OF_TRACE - 1):
            with tracer.start_as_current_span(f"step {number}") as span:
                span.set_attributes(
                    {
                        "langfuse.environment": ENVIRONMENT,
                        "langfuse.observation.type": "generation",
                        "langfuse.observation.model.name": "gpt-4o-mini",
                        "langfuse.observation.usage_details": '{"input":1200,"output":300}',
                        "langfuse.observation.input": INPUT,
                        "langfuse.observation.output": OUTPUT,
                    }
                )


def _compression(gzip: bool) -> Any:
    return grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression


async def _count(server: Server, measured: Measured, begun_s: float) -> None:
    async with server.client() as client:
        await count_visible(client, ENVIRONMENT, measured, begun_s)


if __name__ == "__main__":
    sys.exit(main())
