"""Send bodies as gRPC messages to the real server on a loopback port."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from producers.gateway.app import Gateway
from producers.gateway.otlp_grpc.server import TRACES, OtlpGrpcServer
from producers.settings import OtlpGrpcSettings
from tests.bench.fuzz_doors.doors import Mutation

EXPECTED = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
ANSWER_WITHIN_S = 60
HTTP_STATUS = {"RESOURCE_EXHAUSTED": 413, "INVALID_ARGUMENT": 400, "OK": 200}
"""As what the report counts them, since it is the same code that refuses."""
OTHER = 500


class GrpcDoor:
    """Sends a body as the message of a call."""

    def __init__(self, channel: grpc.aio.Channel, project: str) -> None:
        credential = base64.b64encode(f"pk-{project}:sk-{project}".encode()).decode()
        self._metadata = (("authorization", f"Basic {credential}"),)
        self._export = channel.unary_unary(f"/{TRACES}/Export")

    async def ask(
        self, _mutation: Mutation, body: bytes, _headers: list[tuple[bytes, bytes]]
    ) -> tuple[int, str]:
        """The HTTP status of the same meaning, and what is wrong with it; empty if nothing is."""
        code = grpc.StatusCode.OK
        try:
            await self._export(body, metadata=self._metadata, timeout=ANSWER_WITHIN_S)
        except grpc.aio.AioRpcError as error:
            code = error.code()
        status = HTTP_STATUS.get(code.name, OTHER)
        return status, "" if code in EXPECTED else f"answered {code.name}"


@asynccontextmanager
async def grpc_door(gateway: Gateway, project: str) -> AsyncIterator[GrpcDoor]:
    server = OtlpGrpcServer(gateway.context, OtlpGrpcSettings())
    async with (
        server.running("127.0.0.1", 0) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield GrpcDoor(channel, project)
