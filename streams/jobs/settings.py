"""Settings that every kind of job has."""

from __future__ import annotations

from pydantic import BaseModel, Field


class JobSettings(BaseModel):
    """How jobs of a kind are run.

    A kind's settings are a subclass of this class and ``BaseSettings``, with an ``env_prefix``.
    """

    retry_schedule_s: tuple[float, ...] = Field(
        (5, 30, 120, 600, 3_600, 10_800, 21_600, 43_200, 86_400), max_length=50
    )
    """Pauses between attempts. A job that fails after the last one becomes a dead letter."""
    retry_jitter: float = Field(0.2, ge=0, le=1)
    """Largest share by which a pause is lengthened at random."""
    attempt_timeout_s: float = Field(60.0, gt=0)
    """Longest time of one attempt."""
    attempts_per_target_max: int = Field(4, ge=1)
    """Concurrent attempts at one target."""
    attempts_max: int = Field(256, ge=1)
    """Concurrent attempts at all targets. A project starts one only while it runs fewer than are
    free."""
    age_max_h: float = Field(24 * 7, gt=0)
    """Jobs that were not attempted within this time after their creation are never started."""
    memory_h: float = Field(24 * 14, gt=0)
    """How long ended jobs are remembered; must exceed ``age_max_h``."""
    sweep_interval_s: float = Field(600.0, gt=0)
    """Interval between removals of older ones."""
    restart_pause_s: float = Field(1.0, gt=0)
    """Pause before the runner is restarted; it doubles with each further failure, with jitter."""
    restart_pause_max_s: float = Field(60.0, gt=0)
    """The longest pause."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """How long stopping waits for running attempts."""

    def limits(self) -> JobSettings:
        """Return the settings of the runner; subclasses translate fields of other names."""
        return self
