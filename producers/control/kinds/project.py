"""Projects: the tenants of an installation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from producers.control.record import ControlRecord, Microseconds


class Project(ControlRecord):
    """A tenant.

    The record of a deleted project stays, so that its id is not used again.
    """

    kind = "project"

    name: str = Field(min_length=1, max_length=255)
    created_us: Microseconds
    metadata: str = Field("{}", max_length=10_000)
    """A JSON object of the project's owner, as text."""
    state: Literal["active", "deleting", "deleted"] = "active"
    """Unless it is active, its keys are refused; while it is deleting, its rows are removed."""
    deleting_since_us: Microseconds | None = None
    deleted_at_us: Microseconds | None = None
    """When the last of its rows was removed."""

    def unique_keys(self) -> tuple[str, ...]:
        return (f"name:{self.name}",) if self.state == "active" else ()
