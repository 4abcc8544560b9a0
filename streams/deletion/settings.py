"""Settings of the deletion of projects."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.jobs.settings import JobSettings


class DeletionSettings(JobSettings, BaseSettings):
    """How projects are deleted: each deletion is one job.

    A job goes on until the project is deleted, whatever fails meanwhile; an attempt ends without
    that only at its timeout, or with its worker.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_DELETION_", frozen=True)

    retry_schedule_s: tuple[float, ...] = Field((5.0,) * 50, max_length=50)
    """Pauses after the first attempt and those that follow. Used up: a dead letter."""
    attempt_timeout_s: float = Field(7 * 86_400.0, gt=0)
    """The longest that one attempt may take; the next one goes on."""
    attempts_max: int = Field(4, ge=1)
    """Projects deleted at a time."""
    age_max_h: float = Field(24.0 * 3_650, gt=0)
    """Deletions that began longer ago and were never attempted are not begun."""
    memory_h: float = Field(24.0 * 3_660, gt=0)
    """How long ended jobs are remembered; longer than ``age_max_h``."""
    stop_timeout_s: float = Field(0.1, gt=0)
    """How long stopping waits for attempts under way; the next worker makes them again."""
    poll_s: float = Field(0.5, gt=0)
    """How often to look whether the log was passed and rows are gone."""
    settle_s: float = Field(15.0, ge=0)
    """Pause after which everything is deleted again, before a project counts as deleted: longer
    than a process takes that was suspended, or has not read of the deletion."""
    partitions_at_once_max: int = Field(4, ge=1)
    """Partitions of tables that the store rewrites at a time for one project."""
    rewrite_timeout_s: float = Field(300.0, gt=0)
    """Time for rewriting a partition; after it the store is asked again, which costs nothing for
    what it has rewritten."""
    retry_pause_s: float = Field(5.0, gt=0)
    """Pause after the store or the broker did not do what it was asked to."""
