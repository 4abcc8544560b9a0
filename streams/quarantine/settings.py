"""Define the settings of the quarantine of records that crash their worker."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

KIB: Final = 1024
MIB: Final = 1024 * KIB


class QuarantineSettings(BaseSettings):
    """Limits of the quarantine of events that crash a worker.

    After a worker has ended uncleanly, its input is first tried in child processes. The limits
    apply only then, except ``write_timeout_s``. ``tracemill_quarantine_limit_reached_total`` counts
    by name how often a limit was reached.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_QUARANTINE_", frozen=True)

    trial_timeout_s: float = Field(10.0, gt=0)
    """Time limit of a child process. A child that exceeds it counts as crashed."""
    trial_memory_bytes_max: int = Field(2048 * MIB, ge=64 * MIB)
    """Memory of a child process in addition to that of its worker. A child that exceeds it counts
    as crashed."""
    trial_deaths: int = Field(3, ge=1, le=100)
    """Consecutive child processes that must crash before an input is quarantined."""
    lines_max: int = Field(100, ge=1)
    """Events of one record that are quarantined individually. Above it, the whole record is
    quarantined."""
    entries_max: int = Field(10_000, ge=1)
    """Records in quarantine. At the limit, the stage stops instead of quarantining more."""
    payload_bytes_max: int = Field(12 * MIB, ge=1 * KIB)
    """Maximum size of a dead letter's payload. A larger payload is cut and marked. Must be below
    ``TRACEMILL_RECORD_MAX_BYTES``."""
    worker_deaths: int = Field(3, ge=2, le=100)
    """Consecutive workers that must end at the same record before it is quarantined, if no child
    process crashes."""
    single_wait_s: float = Field(2.0, gt=0)
    """If a worker processes a record alone and ends within this time, the end counts against the
    record. Later ends have other causes, such as an unresponsive broker."""
    single_pause_max_s: float = Field(1.0, ge=0)
    """Maximum random pause before a record is processed alone, so that kills at a fixed time after
    the start of a worker do not hit the same record each time."""
    write_timeout_s: float = Field(5.0, gt=0)
    """Time limit for writing to the quarantine log when the worker stops."""
