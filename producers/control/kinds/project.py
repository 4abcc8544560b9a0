"""Define projects, the tenants of an installation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from producers.control.record import ControlRecord, Microseconds


class Project(ControlRecord):
    """A tenant.

    The record of a deleted project remains, so that its id is not used again.
    """

    kind = "project"

    name: str = Field(min_length=1, max_length=255)
    created_us: Microseconds
    metadata: str = Field("{}", max_length=10_000)
    """JSON text of an object that clients can set."""
    state: Literal["active", "deleting", "deleted"] = "active"
    """Keys are accepted only in the state ``active``. In ``deleting``, rows are being deleted."""
    deleting_since_us: Microseconds | None = None
    deleted_at_us: Microseconds | None = None
    """Time at which the last of its rows was deleted."""

    def unique_keys(self) -> tuple[str, ...]:
        return (f"name:{self.name}",) if self.state == "active" else ()
