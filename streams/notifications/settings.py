"""Define the settings of webhook deliveries."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.jobs.settings import JobSettings

DISABLE_TIMEOUT_S: Final = 60.0
"""Time limit for disabling a webhook in the control plane."""


class NotifierSettings(BaseSettings):
    """Limits of webhook deliveries.

    ``tracemill_notifier_limit_reached_total`` counts by name how often a limit was reached.
    ``tracemill_webhook_exhausted_total`` counts deliveries whose retries all failed.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_NOTIFIER_", frozen=True)

    retry_schedule_s: tuple[float, ...] = Field(
        (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400), max_length=50
    )
    """Pauses between attempts, by default those of Standard Webhooks: 75 hours in total. A delivery
    that fails after the last pause becomes a dead letter."""
    retry_jitter: float = Field(0.2, ge=0, le=1)
    """Maximum share by which a pause is lengthened at random."""
    retry_after_max_s: float = Field(86_400, gt=0)
    """Maximum pause that a receiver can request with ``Retry-After``. Longer ones are shortened to
    this."""
    attempt_timeout_s: float = Field(15.0, gt=0)
    """Time limit of one attempt, from resolving the host name to the status of the response."""
    answer_head_max_bytes: int = Field(32 * 1024, ge=1024)
    """Maximum size of the status line and headers of a response, including informational responses
    (1xx). Above it, the attempt fails."""
    answer_body_max_bytes: int = Field(1_024, ge=0, le=16_384)
    """Maximum bytes of a response's body that are read, for the delivery log."""
    answer_body_timeout_s: float = Field(1.0, gt=0)
    """Time limit for reading a response's body after its head. The status decides whether the
    attempt succeeded, whatever was read."""
    addresses_per_attempt_max: int = Field(3, ge=1)
    """Maximum addresses of a host name that one attempt tries."""
    attempts_per_endpoint_max: int = Field(4, ge=1)
    """Concurrent attempts at one webhook; further ones wait. While its project has many running
    attempts, those at one webhook run one by one until one succeeds."""
    attempts_max: int = Field(256, ge=1)
    """Concurrent attempts in total; further ones wait. A project may start an attempt only while
    its running attempts are fewer than the free ones."""
    circuit_failures_max: int = Field(5, ge=0)
    """Failed attempts in a row after which the circuit of a webhook opens. Deliveries then fail
    without contacting it, except for one at a time, the probe. A success closes the circuit. 0: it
    never opens, and nothing is probed."""
    circuit_pause_s: float = Field(5.0, gt=0)
    """Pause after a failed attempt before the webhook is probed: the delivery whose last attempt is
    the longest ago is attempted early, and a failure does not count. Each failed probe doubles
    it."""
    circuit_pause_max_s: float = Field(60.0, gt=0)
    """Maximum pause between two probes of a webhook, unless ``Retry-After`` asked for a longer one,
    and between successes that make everything due that waits for the webhook. Both pauses begin
    with ``circuit_pause_s`` and double."""
    alert_age_max_h: int = Field(24 * 7, ge=1)
    """Maximum age of an alert whose delivery is started. The limit is counted once per subscribed
    webhook."""
    delivery_memory_h: int = Field(24 * 14, ge=24)
    """Time for which the states of ended deliveries are kept. It must exceed ``alert_age_max_h``,
    so that no delivery is repeated."""
    sweep_interval_s: float = Field(600.0, gt=0)
    """Interval at which states that are older than ``delivery_memory_h`` are removed."""
    restart_pause_s: float = Field(1.0, gt=0)
    """First pause before the failed notifier is restarted. Each further failure doubles the pause,
    with jitter."""
    restart_pause_max_s: float = Field(60.0, gt=0)
    """Maximum pause before the failed notifier is restarted."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Time limit for running attempts when the worker stops; unfinished ones are repeated."""

    def limits(self) -> JobSettings:
        """Return these settings as settings of a kind of job."""
        return JobSettings(
            retry_schedule_s=self.retry_schedule_s,
            retry_jitter=self.retry_jitter,
            attempt_timeout_s=self.attempt_timeout_s + DISABLE_TIMEOUT_S,
            attempts_per_target_max=self.attempts_per_endpoint_max,
            attempts_max=self.attempts_max,
            circuit_failures_max=self.circuit_failures_max,
            circuit_pause_s=self.circuit_pause_s,
            circuit_pause_max_s=self.circuit_pause_max_s,
            age_max_h=self.alert_age_max_h,
            memory_h=self.delivery_memory_h,
            sweep_interval_s=self.sweep_interval_s,
            restart_pause_s=self.restart_pause_s,
            restart_pause_max_s=self.restart_pause_max_s,
            stop_timeout_s=self.stop_timeout_s,
        )
