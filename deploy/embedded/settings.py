"""Settings of the embedded engines as such."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.directories import Directory, default_cache_dir


class EmbeddedSettings(BaseSettings):
    """Where downloads are kept, outside of any checkout and shared by all installations."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", env_ignore_empty=True, frozen=True)

    cache_dir: Directory = Field(default_factory=default_cache_dir)
    """Kafka's files, downloaded once."""
