"""A producer that stops sending, also buffered records, when it loses the right to write.

The right is checked before a record is buffered, so that ``send`` fails at once. It is checked
again immediately before a request is written to its connection, so that buffered records fail as
well. Bytes that were written to a connection cannot be withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.protocol.produce import ProduceRequest

MaySend = Callable[[], None]
"""A function that raises an exception if nothing may be sent."""


class NotSentError(KafkaError):  # type: ignore[misc]  # aiokafka carries no types
    """A buffered record must not be sent any more, nor retried. The message gives the reason."""


class CheckedProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka carries no types
    """A producer that calls ``may_send`` before each record and each request with records."""

    def __init__(self, may_send: MaySend, **options: Any) -> None:
        super().__init__(**options)
        self._may_send = may_send
        # The producer constructs its client and passes it to its parts.
        self.client.send = _CheckedSend(self.client, may_send)

    async def send(self, *arguments: Any, **options: Any) -> Any:
        """Buffer a record; raise what ``may_send`` raises."""
        self._may_send()
        return await super().send(*arguments, **options)


class _CheckedSend:
    """A replacement for the ``send`` of a client."""

    def __init__(self, client: AIOKafkaClient, may_send: MaySend) -> None:
        self._client = client
        self._send = client.send
        self._may_send = may_send

    async def __call__(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send a request.

        Raises:
            NotSentError: the records of the request must not be sent.
            KafkaError: the client failed.
        """
        if isinstance(request, ProduceRequest):
            if not await self._client.ready(node_id, **options):
                raise NodeNotReadyError(f"node {node_id} is not ready")
            # There is no await between this check and the write.
            try:
                self._may_send()
            except Exception as error:
                raise NotSentError(str(error)) from error
        return await self._send(node_id, request, **options)
