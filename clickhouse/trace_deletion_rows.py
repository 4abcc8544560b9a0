"""Define the rows of the table ``trace_deletions``."""

from __future__ import annotations

import msgspec


class TraceDeletionRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A trace that was deleted. Key: project and trace; the latest deletion is kept."""

    project_id: str
    trace_id: str
    deleted_us: int
    """When the broker received the request."""
    api_key: str = ""
    """Public key of the API key that requested it."""
    row_version: int
    """Version of the source record (``streams.core.observations.versions``)."""
