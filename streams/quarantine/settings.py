"""Settings of the quarantine: how records that kill their worker are found and set aside."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

KIB: Final = 1024
MIB: Final = 1024 * KIB


class QuarantineSettings(BaseSettings):
    """Limits of the quarantine.

    All but ``payload_bytes_max`` apply only after a worker ended uncleanly; until then nothing is
    tried or written per record. Limits that are reached are counted by
    ``tracemill_quarantine_limit_reached_total`` under their name.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_QUARANTINE_", frozen=True)

    trial_timeout_s: float = Field(10.0, gt=0)
    """How long a child process may take to process what is tried; longer counts as its death."""
    trial_memory_bytes_max: int = Field(2048 * MIB, ge=64 * MIB)
    """Memory that a child process may take beyond what its worker has; more counts as its death."""
    trial_deaths: int = Field(3, ge=1, le=100)
    """Child processes that must die one after the other before an input is taken for the cause."""
    lines_max: int = Field(100, ge=1)
    """Events set aside one by one from one record; above it the whole record is set aside."""
    entries_max: int = Field(10_000, ge=1)
    """Records in quarantine; above it the stage stops instead of setting aside more."""
    payload_bytes_max: int = Field(12 * MIB, ge=1 * KIB)
    """Longest payload in a dead letter; a longer one is cut and marked. Below
    ``KafkaSettings.record_max_bytes``."""
    worker_deaths: int = Field(3, ge=2, le=100)
    """Where no child process dies: ends of workers during the same single record before it is set
    aside."""
    single_wait_s: float = Field(2.0, gt=0)
    """A record that is processed alone is taken for the cause if its worker ends within this time;
    later ends have other causes, such as a broker that does not answer."""
    single_pause_max_s: float = Field(1.0, ge=0)
    """Longest random pause before such a record is processed again, so that kills at fixed times
    after a start do not hit it each time."""
    write_timeout_s: float = Field(5.0, gt=0)
    """How long a worker that stops waits for the quarantine log."""
