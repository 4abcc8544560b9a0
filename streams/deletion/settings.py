"""Define the settings of deleting projects and traces."""

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


class TraceDeletionSettings(JobSettings, BaseSettings):
    """Limits of completing the deletion of traces: deleting their scores and erasing their rows.

    The traces of one request are one job.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_TRACE_DELETION_", frozen=True)

    retry_schedule_s: tuple[float, ...] = Field((5.0,) * 10 + (60.0,) * 40, max_length=50)
    """Pauses between attempts. A job that fails after the last pause becomes a dead letter."""
    attempt_timeout_s: float = Field(3_600.0, gt=0)
    """Time limit of one attempt. The next attempt continues."""
    attempts_per_target_max: int = Field(256, ge=1)
    """Concurrent jobs of one project; further ones wait. They are completed together."""
    age_max_h: float = Field(24.0 * 3_650, gt=0)
    """Time since its creation after which a job that was never attempted is not started."""
    memory_h: float = Field(24.0 * 3_660, gt=0)
    """Time for which the states of ended jobs are kept. It must exceed ``age_max_h``, so that no
    job is repeated."""
    stop_timeout_s: float = Field(0.1, gt=0)
    """Time limit for running attempts when the worker stops. The next worker repeats them."""
    poll_s: float = Field(0.5, gt=0)
    """Interval of checking whether the log is processed and partitions are rewritten."""
    scores_at_once_max: int = Field(10_000, ge=1)
    """Scores that are deleted at a time; further ones are deleted after them."""
    erase_after_s: float = Field(900.0, ge=0, le=86_400)
    """Interval of rewriting the store's files with texts of deleted traces. Each rewrite reads and
    writes the parts of a day, so traces that are deleted in this time share it. It happens after
    this time, and before twice as long."""
    traces_at_once_max: int = Field(100, ge=1, le=1_000)
    """Traces that one rewrite erases; further ones are erased after them."""
