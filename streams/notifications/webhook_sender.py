"""Send one signed request to one webhook, at a checked address, and read a bounded response.

Of the response, the status, ``Retry-After`` and the beginning of the body are read, in limited
time; cookies are not kept, and redirects are not followed. An invalid response fails the attempt;
it never raises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import httpcore
import httpx
from standardwebhooks import Webhook as Signer

from producers.control.kinds.webhook import Webhook
from producers.control.own_endpoints import OwnEndpoints
from producers.control.resolver import Address, Resolver
from producers.control.webhook_guard import (
    NO_ENDPOINTS,
    WebhookTarget,
    checked_addresses,
    target_of,
)
from producers.errors import WebhookAddressError
from streams.core.deliveries import RETRY_AFTER_MAX_CHARS
from streams.core.jobs.state import DETAIL_MAX_CHARS
from streams.notifications import metrics
from streams.notifications.settings import NotifierSettings
from streams.notifications.webhook_connection import BoundedBackend
from tracemill.clock import now_us

USER_AGENT: Final = "tracemill-webhooks/1"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of an attempt: the status of the response, or the reason why there is none."""

    status: int | None
    detail: str
    retry_after: str | None = None
    answer: str = ""
    """The beginning of the response's body."""
    latency_ms: float = 0.0

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        return self.status == httpx.codes.GONE


class WebhookSender:
    """A client that sends requests. It follows no redirects, whose addresses are not checked."""

    def __init__(
        self,
        settings: NotifierSettings,
        *,
        allow_private: bool,
        own: OwnEndpoints = NO_ENDPOINTS,
    ) -> None:
        self._settings = settings
        self._allow_private = allow_private
        self._own = own
        self._resolver = Resolver()
        self._connections = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=BoundedBackend(settings.answer_head_max_bytes),
        )

    async def close(self) -> None:
        await self._connections.aclose()

    async def attempt(self, webhook: Webhook, message_id: str, body: bytes) -> DeliveryResult:
        """Send ``body``; failures are returned, not raised."""
        return await self.post(
            webhook.url,
            lambda: signed_headers(webhook.signing_secrets(now_us()), message_id, body),
            body,
        )

    async def post(
        self, url: str, headers: Callable[[], Mapping[str, str]], body: bytes
    ) -> DeliveryResult:
        """Send ``body`` to a URL; failures are returned, not raised.

        ``headers`` is called when the address is known, so that signatures are not older.
        """
        began_s = time.monotonic()
        result = await self._attempted(url, headers, body)
        return replace(result, latency_ms=round((time.monotonic() - began_s) * 1e3, 3))

    async def _attempted(
        self, url: str, headers: Callable[[], Mapping[str, str]], body: bytes
    ) -> DeliveryResult:
        try:
            async with asyncio.timeout(self._settings.attempt_timeout_s) as deadline:
                target = target_of(url)
                addresses = await checked_addresses(
                    target, self._resolver, allow_private=self._allow_private, own=self._own
                )
                return await self._send(target, addresses, headers(), body, deadline)
        except TimeoutError:
            metrics.LIMIT_REACHED.labels("attempt_timeout_s").inc()
            timeout_s = self._settings.attempt_timeout_s
            return DeliveryResult(None, f"no response within {timeout_s:g} s")
        except Exception as error:  # noqa: BLE001  # parsing foreign input may raise anything
            return DeliveryResult(None, f"{type(error).__name__}: {error}"[:DETAIL_MAX_CHARS])

    async def _send(
        self,
        target: WebhookTarget,
        addresses: list[Address],
        headers: Mapping[str, str],
        body: bytes,
        deadline: asyncio.Timeout,
    ) -> DeliveryResult:
        """Send to the first address that accepts a connection."""
        tried = addresses[: self._settings.addresses_per_attempt_max]
        if len(tried) < len(addresses):
            metrics.LIMIT_REACHED.labels("addresses_per_attempt_max").inc()
        for address in tried:
            try:
                return await self._post(target, address, headers, body, deadline)
            except httpcore.ConnectError:
                if address == tried[-1]:
                    raise
        raise WebhookAddressError(f"{target.host} has no address")

    async def _post(
        self,
        target: WebhookTarget,
        address: Address,
        headers: Mapping[str, str],
        body: bytes,
        deadline: asyncio.Timeout,
    ) -> DeliveryResult:
        """Send to ``address``, with the host name of the target for TLS and the ``Host`` header."""
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=str(address).encode(),
            port=target.port,
            target=target.path.encode(),
        )
        async with self._connections.stream(
            "POST",
            url,
            content=body,
            headers=[("host", target.authority), ("connection", "close"), *headers.items()],
            extensions={"sni_hostname": target.host},
        ) as response:
            status = int(response.status)
            retry_after = _retry_after(response.headers)
            deadline.reschedule(None)  # the body has a time limit of its own
            answer = await self._beginning_of(response)
            return DeliveryResult(status, f"status {status}", retry_after, answer)

    async def _beginning_of(self, response: httpcore.Response) -> str:
        """Return the beginning of the body, as much as arrives in time; never raise."""
        received = bytearray()
        bytes_max = self._settings.answer_body_max_bytes
        try:
            async with asyncio.timeout(self._settings.answer_body_timeout_s):
                async for chunk in response.aiter_stream():
                    received += chunk
                    if len(received) >= bytes_max:
                        metrics.LIMIT_REACHED.labels("answer_body_max_bytes").inc()
                        break
        except TimeoutError:
            metrics.LIMIT_REACHED.labels("answer_body_timeout_s").inc()
        except Exception:  # noqa: BLE001, S110  # the status decides, whatever follows it
            pass
        return received[:bytes_max].decode(errors="replace")


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the header ``Retry-After``; None if it is missing or too long."""
    for name, value in headers:
        if name.lower() == b"retry-after":
            short = len(value) <= RETRY_AFTER_MAX_CHARS
            return value.decode("latin-1") if short else None
    return None


def signed_headers(secrets: Iterable[str], message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks, with a signature of the current time per secret.

    Raises:
        ValueError: a secret is not base64.
    """
    now = datetime.now(UTC)
    signatures = [Signer(secret).sign(message_id, now, body.decode()) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
