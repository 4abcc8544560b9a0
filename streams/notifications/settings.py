"""Settings of delivering webhooks."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.jobs.settings import JobSettings

DISABLE_TIMEOUT_S: Final = 60.0
"""Time to write to the control plane that a receiver is gone."""


class NotifierSettings(BaseSettings):
    """How webhooks are delivered.

    ``tracemill_notifier_limit_reached_total`` counts how often each limit (``…_max``, ``…_max_s``,
    ``attempt_timeout_s``) was reached, under its name. The hours are how long things are kept in
    memory; ``tracemill_webhook_exhausted_total`` counts deliveries that used up their schedule.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_NOTIFIER_", frozen=True)

    retry_schedule_s: tuple[float, ...] = Field(
        (5, 30, 120, 600, 3_600, 10_800, 21_600, 43_200, 86_400), max_length=50
    )
    """Pauses after the first attempt and those that follow: 46 hours in all. A delivery that fails
    after the last one becomes a dead letter."""
    retry_jitter: float = Field(0.2, ge=0, le=1)
    """By which part of itself a pause may grow."""
    retry_after_max_s: float = Field(86_400, gt=0)
    """The longest pause a receiver may ask for."""
    attempt_timeout_s: float = Field(15.0, gt=0)
    """From resolving the name until the status of the answer is there."""
    answer_head_max_bytes: int = Field(32 * 1024, ge=1024)
    """Status line and headers of an answer, informational ones (1xx) included; above it the attempt
    fails."""
    addresses_per_attempt_max: int = Field(3, ge=1)
    """Addresses of one name that an attempt tries."""
    attempts_per_endpoint_max: int = Field(4, ge=1)
    """Attempts at one webhook at a time: what a receiver that never answers can hold."""
    attempts_max: int = Field(256, ge=1)
    """Attempts at all webhooks at a time. A project starts one only while it runs fewer than are
    still free."""
    alert_age_max_h: int = Field(24 * 7, ge=1)
    """Deliveries of older alerts are not begun; counted for each webhook that subscribed to one."""
    delivery_memory_h: int = Field(24 * 14, ge=24)
    """How long finished deliveries are remembered; longer than ``alert_age_max_h``."""
    sweep_interval_s: float = Field(600.0, gt=0)
    """How often what is older is forgotten."""
    restart_pause_s: float = Field(1.0, gt=0)
    """Pause before the notifier is restarted; it doubles with each further failure, with jitter."""
    restart_pause_max_s: float = Field(60.0, gt=0)
    """The longest pause."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """How long stopping waits for attempts under way."""

    def limits(self) -> JobSettings:
        """Return these settings as those of a kind of job."""
        return JobSettings(
            retry_schedule_s=self.retry_schedule_s,
            retry_jitter=self.retry_jitter,
            attempt_timeout_s=self.attempt_timeout_s + DISABLE_TIMEOUT_S,
            attempts_per_target_max=self.attempts_per_endpoint_max,
            attempts_max=self.attempts_max,
            age_max_h=self.alert_age_max_h,
            memory_h=self.delivery_memory_h,
            sweep_interval_s=self.sweep_interval_s,
            restart_pause_s=self.restart_pause_s,
            restart_pause_max_s=self.restart_pause_max_s,
            stop_timeout_s=self.stop_timeout_s,
        )
