"""Webhooks: where a project's alerts are delivered."""

from __future__ import annotations

import base64
import secrets
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
