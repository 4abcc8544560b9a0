"""Settings of the quarantine: how records that kill their worker are found and set aside."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

KIB: Final = 1024
MIB: Final = 1024 * KIB


class QuarantineSettings(BaseSettings):
    """Limits of the quarantine.

    All but ``payload_bytes_max`` apply only after a worker ended uncleanly; before that nothing is
    tried or written per record. ``tracemill_quarantine_limit_reached_total`` counts limits that are
    reached, by name.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_QUARANTINE_", frozen=True)

    trial_timeout_s: float = Field(10.0, gt=0)
    """Longest time of a child process; after it the child counts as dead."""
    trial_memory_bytes_max: int = Field(2048 * MIB, ge=64 * MIB)
    """Memory of a child process beyond that of its worker; above it the child counts as dead."""
    trial_deaths: int = Field(3, ge=1, le=100)
    """Child processes that must die in a row before an input counts as the cause."""
    lines_max: int = Field(100, ge=1)
    """Events set aside one by one from one record; above it the whole record is set aside."""
    entries_max: int = Field(10_000, ge=1)
    """Records in quarantine; above it the stage stops instead of setting aside more."""
    payload_bytes_max: int = Field(12 * MIB, ge=1 * KIB)
    """Longest payload of a dead letter; a longer one is cut and marked. Must be below
    ``KafkaSettings.record_max_bytes``."""
    worker_deaths: int = Field(3, ge=2, le=100)
    """Workers that must end in the same record before it is set aside, if no child process dies."""
    single_wait_s: float = Field(2.0, gt=0)
    """A record that is processed alone counts as the cause if its worker ends within this time;
    later ends have other causes, such as a broker that does not answer."""
    single_pause_max_s: float = Field(1.0, ge=0)
    """Longest random pause before such a record is processed again, so that kills at fixed times
    after a start do not hit it each time."""
    write_timeout_s: float = Field(5.0, gt=0)
    """How long a stopping worker waits for the quarantine log."""
