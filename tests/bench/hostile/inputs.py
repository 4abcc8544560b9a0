"""Define hostile requests that once delayed other projects, or could do so."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MODEL: Final = "gpt-4o"
TYPE: Final = "langfuse.observation.type"
MODEL_NAME: Final = "langfuse.observation.model.name"


@dataclass(frozen=True, slots=True)
class Call:
    """One request; ``times`` it is sent, up to ``together`` at once."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    together: int = 1


@dataclass(frozen=True, slots=True)
class Hostile:
    name: str
    calls: Callable[[], Iterator[Call]]
    is_heavy: bool = False
    """Takes longer than a test suite should."""


def otlp(*spans: dict[str, Any], times: int = 1, together: int = 1) -> Call:
    """Spans by their attributes; ``_name``, ``_trace``, ``_id``, ``_start_ns`` set their fields."""
    export = ExportTraceServiceRequest()
    scope = export.resource_spans.add().scope_spans.add()
    scope.scope.name = "langfuse-sdk"
    now_ns = time.time_ns()
    for attributes in spans:
        start_ns = attributes.get("_start_ns", now_ns)
        span = scope.spans.add(
            trace_id=attributes.get("_trace", uuid4().bytes),
            span_id=attributes.get("_id", uuid4().bytes[:8]),
            name=attributes.get("_name", "hostile"),
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + 1_000_000,
        )
        for key, value in attributes.items():
            if not key.startswith("_"):
                span.attributes.add(key=key).value.string_value = value
    headers = {"content-type": "application/x-protobuf"}
    return Call("/v1/traces", export.SerializeToString(), headers, times, together)


def otlp_json(attribute: str) -> Call:
    """An export as JSON text: a span with ``attribute``, a JSON text, and a valid span."""
    now_ns = time.time_ns()

    def span(attributes: str) -> str:
        return (
            f'{{"traceId":"{uuid4().hex}","spanId":"{uuid4().hex[:16]}","name":"hostile",'
            f'"startTimeUnixNano":"{now_ns}","endTimeUnixNano":"{now_ns}","attributes":[{attributes}]}}'
        )

    spans = f"{span(attribute)},{span('')}"
    body = f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}'
    return Call("/v1/traces", body.encode(), {"content-type": "application/json"})


def ingestion(
    *events: tuple[str, dict[str, Any]], metadata: str = "null", zipped: bool = False
) -> Call:
    """Events of the ingestion API by type and body."""
    stamp = datetime.now(UTC).isoformat()
    batch = [
        {"id": uuid4().hex, "type": kind, "timestamp": stamp, "body": body} for kind, body in events
    ]
    text = f'{{"batch":{json.dumps(batch)},"metadata":{metadata}}}'.encode()
    headers = {"content-type": "application/json"}
    if zipped:
        text, headers = gzip.compress(text, 1), headers | {"content-encoding": "gzip"}
    return Call("/api/public/ingestion", text, headers)


def generation(**attributes: str) -> dict[str, Any]:
    return {TYPE: "generation", MODEL_NAME: MODEL} | {
        f"langfuse.observation.{key}": value for key, value in attributes.items()
    }


def many(call: Call, times: int, together: int = 1) -> Call:
    return Call(call.path, call.body, call.headers, times, together)


def _deep_texts() -> Iterator[Call]:
    for opening in ("[", '{"a":', '[{"role":"user","content":[', '{"messages":[{"role":'):
        text = opening * 2_000
        closed = "[" * 990 + "]" * 990
        yield otlp(generation(output=text), generation(output="ok"))
        yield otlp(generation(input=text), generation(input=closed))
        yield otlp(generation(metadata=closed), generation(metadata=text))
        yield otlp(generation(**{"model.parameters": text}))
        yield otlp(generation(**{"model.parameters": '{"a":' * 950 + "1" + "}" * 950}))
        yield otlp({**generation(input=closed), "gen_ai.tool.definitions": closed})
    yield otlp(
        generation(output='[{"role":"assistant","tool_calls":' + "[" * 980 + "]" * 980 + "}]")
    )


def _numbers() -> Iterator[Call]:
    digits = "9" * 5_000
    for amount in (
        "1e99999999999999999999",
        digits,
        "-1",
        "1e400",
        f"0.{digits}",
        '"NaN"',
        "1e-99999999",
    ):
        for key in ("cost_details", "usage_details"):
            yield otlp(generation(**{key: f'{{"total":{amount}}}'}), generation(output="ok"))
        yield otlp({**generation(), "gen_ai.usage.input_tokens": amount})
    for value in (digits[:400], "1e400", f'"{digits}"', "-0.0", '"Infinity"'):
        yield otlp_json(f'{{"key":"n","value":{{"doubleValue":{value}}}}}')
        yield otlp_json(f'{{"key":"n","value":{{"intValue":{value}}}}}')
    yield ingestion(
        ("generation-create", {"id": uuid4().hex, "model": MODEL, "usage": {"input": 10**400}})
    )


def _deep_bodies() -> Iterator[Call]:
    filler = '"' + "x" * 1_100_000 + '"'
    for depth in (968, 980, 992, 5_000):
        nested = "[" * depth + filler + "]" * depth
        yield ingestion(("trace-create", {"id": uuid4().hex}), metadata=nested)
        yield Call(
            "/api/public/scores",
            f'{{"name":"n","value":1,"traceId":"t","metadata":{nested}}}'.encode(),
            {"content-type": "application/json"},
        )
    yield Call("/v1/traces", b"[" * 2_000_000, {"content-type": "application/json"})


def _large_trace() -> Iterator[Call]:
    trace_id = uuid4().hex
    for key in ("input", "output", "metadata", "input", "output"):
        value: Any = "\x01" * 700_000 if key != "metadata" else {"m": "\x01" * 700_000}
        yield ingestion(("trace-create", {"id": trace_id, key: value}))


def _large_generation() -> Iterator[Call]:
    trace_id, id_ = uuid4().hex, uuid4().hex
    for key in ("input", "output", "metadata"):
        value: Any = '"' * 3_900_000
        body = {"id": id_, "traceId": trace_id, key: {"m": value} if key == "metadata" else value}
        yield ingestion(("generation-update", body), zipped=True)


def _many_keys() -> Iterator[Call]:
    keys = {f"k{number}": 1 for number in range(300_000)}
    trace_id = uuid4().hex
    yield ingestion(("trace-create", {"id": trace_id, "metadata": keys}), zipped=True)
    more = {f"m{number}": 1 for number in range(300_000)}
    yield ingestion(("trace-create", {"id": trace_id, "metadata": more}), zipped=True)
    yield ingestion(
        ("trace-create", {"id": uuid4().hex, "tags": [f"t{n}" for n in range(200_000)]})
    )
    usage = {f"kind{number}": 1 for number in range(100_000)}
    body = {"id": uuid4().hex, "model": MODEL, "usageDetails": usage}
    yield ingestion(("generation-create", body))


def _key_by_key() -> Iterator[Call]:
    trace_id = uuid4().hex
    keys = {f"k{number}": number for number in range(150_000)}
    yield ingestion(("trace-create", {"id": trace_id, "metadata": keys}), zipped=True)
    for first in range(0, 2_000, 200):
        yield ingestion(
            *(
                ("trace-create", {"id": trace_id, "metadata": {f"k{number}": -1}})
                for number in range(first, first + 200)
            )
        )


def _user_by_user() -> Iterator[Call]:
    trace = uuid4().bytes
    for _ in range(19):
        yield otlp(
            *({**generation(usage_details='{"input":1}'), "_trace": trace} for _ in range(1_000))
        )
    for first in range(0, 1_000, 200):
        yield otlp(*({"_trace": trace, "user.id": f"user-{n}"} for n in range(first, first + 200)))


def _many_models() -> Iterator[Call]:
    trace = uuid4().bytes
    for first in range(0, 3_000, 500):
        yield otlp(
            *(
                {
                    TYPE: "generation",
                    "_trace": trace,
                    MODEL_NAME: f"model-{n}",
                    "langfuse.observation.cost_details": '{"total":0.5}',
                }
                for n in range(first, first + 500)
            )
        )
    yield otlp(
        {"_trace": trace, "user.id": "u" * 10_000}, {"_trace": trace, "user.id": "v" * 10_000}
    )


def _many_cells() -> Iterator[Call]:
    for _ in range(10):
        yield otlp(*({**generation(), "_name": uuid4().hex * 4} for _ in range(2_000)))


def _long_names() -> Iterator[Call]:
    yield otlp({"_name": '"' * 2_000_000})
    yield ingestion(("trace-create", {"id": "i" * 1_000_000, "name": '"' * 2_000_000}))
    yield ingestion(("span-create", {"id": "a\nb\x00c", "traceId": "t\n\u2028", "name": "\ud800"}))
    yield ingestion(
        (
            "trace-create",
            {"id": uuid4().hex, "userId": "\x00" * 500_000, "sessionId": "\\" * 500_000},
        )
    )


def _many_days() -> Iterator[Call]:
    now = datetime.now(UTC)
    for _ in range(2):
        yield otlp(
            *(
                {"_start_ns": int((now - timedelta(days=day)).timestamp()) * 10**9}
                for day in range(3_600)
            )
        )


def _bombs() -> Iterator[Call]:
    for byte in (b"0", b"[", b"{", b" ", b"\n"):
        body = gzip.compress(byte * 60 * 2**20, 9)
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        for path in ("/v1/traces", "/api/public/ingestion"):
            yield Call(path, body, headers, times=3, together=3)
    body = gzip.compress(b"\x0a\x00" * 30 * 2**20, 9)
    headers = {"content-encoding": "gzip", "content-type": "application/x-protobuf"}
    yield Call("/v1/traces", body, headers, times=3, together=3)


def _protobuf() -> Iterator[Call]:
    headers = {"content-type": "application/x-protobuf"}
    yield Call("/v1/traces", b"\x0a\x00" * 1_000_000, headers, times=3, together=3)
    nested = b""
    for _ in range(5_000):
        nested = (
            b"\x2a"
            + _varint(len(nested) + 1 + len(_varint(len(nested))))
            + b"\x0a"
            + _varint(len(nested))
            + nested
        )
    yield Call("/v1/traces", nested, headers)
    yield Call("/v1/traces", b"\xff" * 100_000, headers)
    yield Call("/v1/traces", b"\x0b" * 100_000, headers)
    yield otlp({f"key-{number}": "v" for number in range(200_000)})


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _parameter_texts() -> Iterator[Call]:
    for number in range(40):
        text = json.dumps({"stop": f"{number}" * 700_000})
        yield otlp(generation(**{"model.parameters": text}, usage_details='{"input":1}'))


def _times() -> Iterator[Call]:
    for start_ns in (0, 1, 2**63, 2**64 - 1, 10**18):
        yield otlp({"_start_ns": min(start_ns, 2**64 - 2_000_000)}, {})
    for stamp in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1e999", "+99999-01-01", ""):
        yield ingestion(("span-create", {"id": uuid4().hex, "startTime": stamp, "endTime": stamp}))


def _scores() -> Iterator[Call]:
    for value in ("1e400", "9" * 5_000, '"' + "x" * 900_000 + '"', "null", "[]"):
        body = f'{{"name":"n","traceId":"t","value":{value}}}'.encode()
        yield Call("/api/public/scores", body, {"content-type": "application/json"})


HOSTILE: Final = (
    Hostile("texts nested 2,000 deep", _deep_texts),
    Hostile("numbers without an end", _numbers),
    Hostile("bodies nested deep", _deep_bodies),
    Hostile("a trace built from five large updates", _large_trace),
    Hostile("a generation built from three large updates", _large_generation),
    Hostile("hundreds of thousands of keys, tags, usage types", _many_keys),
    Hostile("one-key updates of a trace with 150,000 keys", _key_by_key, is_heavy=True),
    Hostile("user changes of a trace with 19,000 observations", _user_by_user, is_heavy=True),
    Hostile("a 10 kB user on a trace with 3,000 models", _many_models),
    Hostile("20,000 names in one minute", _many_cells, is_heavy=True),
    Hostile("names and ids of millions of characters", _long_names),
    Hostile("3,600 spans on 3,600 days, twice", _many_days, is_heavy=True),
    Hostile("bodies of 60 MiB in 60 kB", _bombs),
    Hostile("protobuf without sense", _protobuf),
    Hostile("40 parameter texts of a megabyte", _parameter_texts, is_heavy=True),
    Hostile("times at both ends", _times),
    Hostile("scores that are none", _scores),
)
