"""Settings of the embedded engines as such."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_cache_dir() -> Path:
    """`tracemill` below the user's cache directory (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracemill"


class EmbeddedSettings(BaseSettings):
    """Where downloads are kept, outside of any checkout and shared by all installations."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", frozen=True)

    cache_dir: Path = Field(default_factory=default_cache_dir)
    """Kafka's files, downloaded once."""
