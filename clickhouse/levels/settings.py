"""Define the settings of levels."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LevelSettings(BaseSettings):
    """Limits of the hourly and daily rollups of windows, which the sink recomputes.

    Hours and days that wait to be recomputed are read from windows: queries are exact, but slower.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_LEVELS_", frozen=True)

    interval_s: float = Field(default=15.0, ge=0.05, le=3_600)
    """Interval at which changed hours and days are looked for."""
    quiet_s: float = Field(default=30.0, ge=0, le=86_400)
    """Time without changes after which an ended hour or day is recomputed, in addition to the time
    limit of inserts. It must exceed differences of the clocks of the store's servers, and steps
    back of its clock."""
    full_scan_interval_s: float = Field(default=3_600.0, ge=1)
    """Interval at which all hours and days are checked, not only those that changed lately."""
    buckets_max: int = Field(default=2_000, ge=1)
    """Maximum hours, and days, that one pass recomputes; the next pass continues."""
    batch_rows_max: int = Field(default=300_000, ge=1)
    """Maximum windows that one statement combines. A single hour may have more."""
    batch_buckets_max: int = Field(default=100, ge=1, le=100)
    """Maximum hours, or days, that one statement recomputes."""
    memory_max_bytes: int = Field(default=1_000_000_000, ge=64 * 2**20)
    """Memory limit of one statement in the store; it uses the disk above half of it."""
    statement_max_s: float = Field(default=10.0, gt=0, le=14)
    """Time limit of one statement. Batches that reach a limit are halved. It is less than the pause
    of deletions of projects, so that deleted rows are not written again."""
    pause_ratio: float = Field(default=1.0, ge=0, le=100)
    """Pause after each statement, as a multiple of its duration, so that inserts and queries are
    not delayed."""
