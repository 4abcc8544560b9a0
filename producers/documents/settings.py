"""Settings of documents: how many of them a process keeps in memory, and how large they may be."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB: Final = 1024 * 1024


class DocumentSettings(BaseSettings):
    """Limits of documents, such as datasets, their items, experiments and comments."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_DOCUMENTS_", frozen=True)

    record_max_bytes: int = Field(12 * MIB, ge=16 * 1024)
    """Maximum size of a document as JSON; above it: 413. At most ``record_max_bytes`` of the
    broker."""
    tail_max_bytes: int = Field(128 * MIB, ge=1 * MIB)
    """Memory for documents that are not stored yet; while there are more, writes get 503."""
    kept_s: float = Field(30.0, ge=21)
    """Minimum time that a written document stays in this memory. It must be longer than a write and
    a query take, so that both see every document."""
    eviction_interval_s: float = Field(1.0, gt=0)
    """Interval at which the offset of the sink is read, to evict stored documents."""
    read_wait_s: float = Field(1.0, gt=0)
    """Maximum time that a request waits for writes of other processes that were acknowledged before
    it. If it ends, or the broker fails, the response may lack them."""
