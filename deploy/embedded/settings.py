"""Define the settings of the embedded engines."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.directories import Directory, default_cache_dir


class EmbeddedSettings(BaseSettings):
    """Downloads, which are shared by all installations of a user."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", env_ignore_empty=True, frozen=True)

    cache_dir: Directory = Field(default_factory=default_cache_dir)
    """Directory of Kafka's files, which the first start downloads."""
