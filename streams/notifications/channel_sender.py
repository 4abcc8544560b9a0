"""Send what a channel receives: an HTTP request or an e-mail, to a checked address."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

from producers.control.own_endpoints import own_endpoints
from producers.control.resolver import Address, Resolver
from producers.control.webhook_guard import WebhookTarget, checked_addresses
from producers.notifications.channel_type import Email, HttpRequest
from producers.settings import WebhookSettings
from streams.core.jobs.state import DETAIL_MAX_CHARS
from streams.notifications import metrics
from streams.notifications.channel_settings import ChannelNotifierSettings
from streams.notifications.webhook_connection import require_peer
from streams.notifications.webhook_sender import USER_AGENT, DeliveryResult, WebhookSender

ACCEPTED: Final = 250
"""The reply of SMTP to a message that was accepted, which counts as a success."""


class ChannelSender:
    """A client of the services behind channels."""

    def __init__(self, settings: ChannelNotifierSettings, webhooks: WebhookSettings) -> None:
        self._settings = settings
        self._allow_private = webhooks.allow_private
        self._own = own_endpoints(webhooks.forbidden_ports)
        self._resolver = Resolver()
        self._http = WebhookSender(settings, allow_private=self._allow_private, own=self._own)

    async def close(self) -> None:
        await self._http.close()

    async def send(self, outgoing: HttpRequest | Email) -> DeliveryResult:
        """Send a request or e-mail; failures are returned, not raised."""
        if isinstance(outgoing, HttpRequest):
            headers = {"user-agent": USER_AGENT, **outgoing.headers}
            return await self._http.post(outgoing.url, lambda: headers, outgoing.body)
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.smtp_timeout_s):
                await self._mail(outgoing)
            result = DeliveryResult(ACCEPTED, "accepted by the SMTP server")
        except TimeoutError:
            metrics.LIMIT_REACHED.labels("smtp_timeout_s").inc()
            result = DeliveryResult(None, f"not sent within {self._settings.smtp_timeout_s:g} s")
        except Exception as error:  # noqa: BLE001  # a server may answer anything
            result = DeliveryResult(None, f"{type(error).__name__}: {error}"[:DETAIL_MAX_CHARS])
        return replace(result, latency_ms=round((time.monotonic() - began_s) * 1e3, 3))

    async def _mail(self, email: Email) -> None:
        """1. Resolve and check the address. 2. Connect to it. 3. Send the message."""
        target = WebhookTarget("smtp", email.host, email.port, "/")
        addresses = await checked_addresses(
            target, self._resolver, allow_private=self._allow_private, own=self._own
        )
        from aiosmtplib import SMTP  # noqa: PLC0415  # few installations send e-mails

        with await connected(addresses[0], email.port) as connection:
            client = SMTP(
                hostname=email.host,  # the certificate is that of the name
                sock=connection,
                use_tls=email.security == "tls",
                start_tls=email.security == "starttls",
                timeout=self._settings.smtp_timeout_s,
                local_hostname="tracemill",
            )
            async with client:
                if email.username:
                    await client.login(email.username, email.password)
                await client.send_message(
                    mail_of(email), sender=email.sender, recipients=list(email.recipients)
                )


async def connected(address: Address, port: int) -> socket.socket:
    """Return a socket that is connected to an address.

    Raises:
        OSError: the connection is refused.
        ConnectError: it leads to another address.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
        require_peer(connection.getpeername(), str(address))
    except BaseException:
        connection.close()
        raise
    return connection


def mail_of(email: Email) -> EmailMessage:
    """Return the message; its ``Message-ID`` is the same in repeated attempts."""
    mail = EmailMessage()
    mail["From"] = email.sender
    mail["To"] = ", ".join(email.recipients)
    mail["Subject"] = " ".join(email.subject.split())
    mail["Message-ID"] = f"<{email.message_id}@tracemill>"
    mail["Date"] = formatdate()
    mail.set_content(email.text)
    return mail
