"""Projects: the tenants of an installation."""

from __future__ import annotations

from pydantic import Field

from producers.control.record import ControlRecord, Microseconds


class Project(ControlRecord):
    """A tenant."""

    kind = "project"

    name: str = Field(min_length=1, max_length=255)
    created_us: Microseconds
