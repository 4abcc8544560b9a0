"""Define the settings that every kind of job has."""

from __future__ import annotations

from pydantic import BaseModel, Field


class JobSettings(BaseModel):
    """Limits of running the jobs of a kind.

    A kind's settings are a subclass of this class and ``BaseSettings``, with an ``env_prefix``.
    """

    retry_schedule_s: tuple[float, ...] = Field(
        (5, 30, 120, 600, 3_600, 10_800, 21_600, 43_200, 86_400), max_length=50
    )
    """Pauses between attempts. A job that fails after the last pause becomes a dead letter."""
    retry_jitter: float = Field(0.2, ge=0, le=1)
    """Maximum share by which a pause is lengthened at random."""
    attempt_timeout_s: float = Field(60.0, gt=0)
    """Time limit of one attempt; an attempt that exceeds it has failed."""
    attempts_per_target_max: int = Field(4, ge=1)
    """Concurrent attempts at one target; further ones wait. While its project has many running
    attempts, those at one target run one by one until one succeeds."""
    attempts_max: int = Field(256, ge=1)
    """Concurrent attempts in total; further ones wait. A project may start an attempt only while
    its running attempts are fewer than the free ones."""
    circuit_failures_max: int = Field(0, ge=0)
    """Failed attempts in a row after which the circuit of a target opens: then only one attempt at
    a time, the probe, contacts it, until one succeeds. 0: it never opens, and nothing is probed."""
    circuit_pause_s: float = Field(5.0, gt=0)
    """Pause after a failed attempt before the target is probed: the job whose last attempt is the
    longest ago is attempted early, and a failure does not count. Each failed probe doubles it."""
    circuit_pause_max_s: float = Field(60.0, gt=0)
    """Maximum pause between two probes of a target, unless it asked for a longer one, and
    between successes that make everything due that waits for the target. Both pauses begin with
    ``circuit_pause_s`` and double."""
    age_max_h: float = Field(24 * 7, gt=0)
    """Time since its creation after which a job that was never attempted is not started."""
    memory_h: float = Field(24 * 14, gt=0)
    """Time for which the states of ended jobs are kept. It must exceed ``age_max_h``, so that no
    job is repeated."""
    sweep_interval_s: float = Field(600.0, gt=0)
    """Interval at which states that are older than ``memory_h`` are removed."""
    restart_pause_s: float = Field(1.0, gt=0)
    """First pause before a failed runner is restarted. Each further failure doubles the pause,
    with jitter."""
    restart_pause_max_s: float = Field(60.0, gt=0)
    """Maximum pause before a failed runner is restarted."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Time limit for running attempts when the worker stops; unfinished ones are repeated."""

    def limits(self) -> JobSettings:
        """Return the settings of the runner; subclasses convert fields with other names."""
        return self
