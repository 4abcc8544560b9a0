"""Webhooks: where a project's alerts are delivered."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field

from producers.control.fields import SecretField
from producers.control.record import Microseconds, ProjectRecord

SECRET_BYTES: Final = 32


def new_signing_secret() -> str:
    """Return a random secret in the format of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


class Webhook(ProjectRecord):
    """An endpoint that receives a project's alerts."""

    kind = "webhook"
    per_project_max = 20

    url: str = Field(min_length=1, max_length=2000)
    events: tuple[str, ...] = Field(min_length=1, max_length=20)
    secret: Annotated[str, SecretField(new=new_signing_secret)] = Field(
        pattern=r"^whsec_\S{16,200}$", repr=False
    )
    """Key of the signatures; it is shown once, when the webhook is created."""
    created_us: Microseconds
    disabled: bool = False
    description: str = Field("", max_length=500)
    subscribed_us: dict[str, Microseconds] = {}
    """When events were subscribed to after the creation; earlier alerts are not delivered."""
    previous_secret: Annotated[str, SecretField(new=str)] = Field(
        "", pattern=r"^(whsec_\S{16,200})?$", repr=False
    )
    """Key that the last rotation replaced; until ``overlap_until_us``, deliveries have a
    signature with each key. Empty: none."""
    overlap_until_us: Microseconds = 0

    def takes(self, event: str, at_us: int) -> bool:
        """Return whether the alerts of an event that were created at a time are delivered."""
        return (
            not self.disabled
            and event in self.events
            and at_us >= max(self.created_us, self.subscribed_us.get(event, 0))
        )

    def with_events(self, events: Iterable[str], now_us: int) -> Webhook:
        """Return the webhook with other subscriptions; new ones begin now."""
        since = {
            event: now_us if event not in self.events else self.subscribed_us.get(event, 0)
            for event in events
        }
        begun = {event: at_us for event, at_us in since.items() if at_us}
        return self.model_copy(update={"events": tuple(since), "subscribed_us": begun})

    def signing_secrets(self, now_us: int) -> tuple[str, ...]:
        """Return the keys of the signatures of a delivery, the current one first."""
        if self.previous_secret and now_us < self.overlap_until_us:
            return self.secret, self.previous_secret
        return (self.secret,)

    def with_new_secret(self, secret: str, until_us: int) -> Webhook:
        """Return the webhook with another key; the current one remains valid for a time."""
        return self.model_copy(
            update={
                "secret": secret,
                "previous_secret": self.secret,
                "overlap_until_us": until_us,
            }
        )
