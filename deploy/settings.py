"""Settings of a process as such: where it listens, where it keeps its files, how it logs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """``$XDG_DATA_HOME/tracemill``, by default ``~/.local/share/tracemill``."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tracemill"


class ProcessSettings(BaseSettings):
    """What every process has, whatever its role."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir)
    """Files of the embedded engines and their logs."""
    host: str = "127.0.0.1"
    """Where the public API listens."""
    port: int = Field(7700, ge=1, le=65535)
    """Its port."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Loopback port of ``/metrics``, ``/healthz`` and ``/readyz`` of workers; 0: none."""
    metrics_host: str = "127.0.0.1"
    """Address of the metrics port."""
    prepared_within_s: float = Field(60.0, gt=0)
    """How long a starting role waits for its engines and for `tracemill migrate`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Less than this is not logged."""
