"""A producer that may lose the right to write, and then sends nothing more, not even what it holds.

The check is made twice: before a record is buffered, so that its sender fails at once; and before
each request is written to its connection, after every wait for the connection, so that what was
buffered before fails too. Bytes that were handed to the connection cannot be called back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.protocol.produce import ProduceRequest

MaySend = Callable[[], None]
"""Raises where nothing may be sent."""


class NotSentError(KafkaError):  # type: ignore[misc]  # aiokafka carries no types
    """A buffered record may not be sent any more; the message gives the reason. It is not retried."""


class CheckedProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka carries no types
    """Calls ``may_send`` before each record and before each request with records."""

    def __init__(self, may_send: MaySend, **options: Any) -> None:
        super().__init__(**options)
        self._may_send = may_send
        # It makes its client itself, and hands it to its parts.
        self.client.send = _CheckedSend(self.client, may_send)

    async def send(self, *arguments: Any, **options: Any) -> Any:
        """Buffer a record. Raises what ``may_send`` raises."""
        self._may_send()
        return await super().send(*arguments, **options)


class _CheckedSend:
    """Takes the place of a client's ``send``."""

    def __init__(self, client: AIOKafkaClient, may_send: MaySend) -> None:
        self._client = client
        self._send = client.send
        self._may_send = may_send

    async def __call__(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send a request.

        Raises:
            NotSentError: its records may not be sent.
            KafkaError: as the client.
        """
        if isinstance(request, ProduceRequest):
            if not await self._client.ready(node_id, **options):
                raise NodeNotReadyError(f"node {node_id} is not ready")
            # From here on the client waits for nothing until the bytes are written.
            try:
                self._may_send()
            except Exception as error:
                raise NotSentError(str(error)) from error
        return await self._send(node_id, request, **options)
