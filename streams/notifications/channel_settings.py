"""Define the settings of messages to channels."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.notifications.settings import NotifierSettings


class ChannelNotifierSettings(NotifierSettings, BaseSettings):
    """Limits of messages to channels; the limits of deliveries to webhooks apply to them as well.

    ``tracemill_jobs_limit_reached_total`` counts by name how often a limit was reached.
    """

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_CHANNELS_", frozen=True, populate_by_name=True
    )

    pending_pause_s: float = Field(10.0, gt=0)
    """Pause before the repetition of a message is considered again, if another message about its
    group is pending."""
    smtp_timeout_s: float = Field(30.0, gt=0)
    """Time limit of sending one e-mail."""
    public_url: str = Field("", validation_alias="TRACEMILL_QUERY_PUBLIC_URL")
    """Address of the console, for links to traces in messages; empty: messages have ids only."""
