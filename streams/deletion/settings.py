"""Define the settings of deleting projects."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.jobs.settings import JobSettings


class DeletionSettings(JobSettings, BaseSettings):
    """Limits of deleting projects. Each deletion is one job.

    An attempt of the job repeats failed steps until the project is deleted. It ends earlier only at
    its time limit or when its worker stops.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_DELETION_", frozen=True)

    retry_schedule_s: tuple[float, ...] = Field((5.0,) * 50, max_length=50)
    """Pauses between attempts. A job that fails after the last pause becomes a dead letter."""
    attempt_timeout_s: float = Field(7 * 86_400.0, gt=0)
    """Time limit of one attempt. The next attempt continues."""
    attempts_max: int = Field(4, ge=1)
    """Projects that are deleted concurrently; further ones wait."""
    age_max_h: float = Field(24.0 * 3_650, gt=0)
    """Time since its creation after which a deletion that was never attempted is not started."""
    memory_h: float = Field(24.0 * 3_660, gt=0)
    """Time for which the states of ended jobs are kept. It must exceed ``age_max_h``, so that no
    job is repeated."""
    stop_timeout_s: float = Field(0.1, gt=0)
    """Time limit for running attempts when the worker stops. The next worker repeats them."""
    poll_s: float = Field(0.5, gt=0)
    """Interval of checking whether the log is processed and rows are deleted."""
    settle_s: float = Field(15.0, ge=0)
    """Pause before everything is deleted a second time. In this time, all processes must have read
    that the project is being deleted, and suspended processes must have ended."""
    partitions_at_once_max: int = Field(4, ge=1)
    """Table partitions that the store rewrites concurrently for one project; further ones wait."""
    rewrite_timeout_s: float = Field(300.0, gt=0)
    """Time for rewriting a partition. After it, the rewrite is requested again; parts that are
    already rewritten cost nothing."""
    retry_pause_s: float = Field(5.0, gt=0)
    """Pause before failed steps are repeated."""
