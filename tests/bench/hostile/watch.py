"""Send spans of a quiet project and measure when each can be read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

EVERY_S = 0.25
POLL_S = 0.05
GIVE_UP_S = 120.0
BUSY = frozenset({429, 502, 503})


@dataclass(slots=True)
class Seen:
    """How long each span took from its first attempt to be sent until it could be read."""

    visible_s: list[float] = field(default_factory=list)
    lost: int = 0
    refused: int = 0
    """Attempts answered "busy"; each span is sent again until it is accepted."""

    @property
    def longest_s(self) -> float:
        return max(self.visible_s, default=0.0)


class QuietProject:
    """Sends through every partition in turn: the trace id is different each time."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._number = time.time_ns()
        self._probes: set[asyncio.Task[None]] = set()
        self.seen = Seen()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[Seen]:
        """Measure while the block runs, and until the last span that was sent in it is visible."""
        self.seen = Seen()
        sending = asyncio.create_task(self._send_all())
        try:
            yield self.seen
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            await asyncio.gather(*self._probes)

    async def _send_all(self) -> None:
        while True:
            self._number += 1
            probe = asyncio.create_task(self._probe(self._number))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)
            await asyncio.sleep(EVERY_S)

    async def _probe(self, number: int) -> None:
        seen, begun_s = self.seen, time.monotonic()
        trace_id = number.to_bytes(16, "big")
        body = _export(trace_id, number)
        while await self._status("POST", "/v1/traces", body) != 200:
            seen.refused += 1
            if time.monotonic() - begun_s > GIVE_UP_S:
                seen.lost += 1
                return
            await asyncio.sleep(POLL_S)
        while await self._status("GET", f"/api/public/traces/{trace_id.hex()}") != 200:
            if time.monotonic() - begun_s > GIVE_UP_S:
                seen.lost += 1
                return
            await asyncio.sleep(POLL_S)
        seen.visible_s.append(time.monotonic() - begun_s)

    async def _status(self, method: str, path: str, body: bytes | None = None) -> int:
        headers = {"content-type": "application/x-protobuf"} if body else {}
        try:
            answer = await self._client.request(method, path, content=body, headers=headers)
        except httpx.TransportError:
            return 0
        assert answer.status_code in {200, 404, 422, *BUSY}, answer.text
        return answer.status_code


def _export(trace_id: bytes, number: int) -> bytes:
    export = ExportTraceServiceRequest()
    export.resource_spans.add().scope_spans.add().spans.add(
        trace_id=trace_id,
        span_id=(number % 2**63 + 1).to_bytes(8, "big"),
        name="quiet",
        start_time_unix_nano=time.time_ns() - 1_000_000,
        end_time_unix_nano=time.time_ns(),
    )
    return export.SerializeToString()
