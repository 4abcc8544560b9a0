"""Limits: how much one project may send, where that differs from the installation's default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from producers.control.record import Microseconds, ProjectRecord

Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
BurstSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Limits(ProjectRecord):
    """The limits of a project; its id is the project's. Of each: none, the default; 0, no limit."""

    kind = "limits"
    plural = "limits"

    events_per_s: Amount | None = None
    bytes_per_s: Amount | None = None
    burst_s: BurstSeconds | None = None
    """Seconds of a rate that may be sent at once."""
    quota_period: Literal["day", "month"] | None = None
    """In UTC."""
    quota_events: Count | None = None
    """Events per period."""
    quota_bytes: Count | None = None
    """Bytes per period."""
    created_us: Microseconds

    @model_validator(mode="after")
    def _is_the_only_one(self) -> Self:
        if self.id != self.project_id:
            raise ValueError("the id of a project's limits is that of the project")
        return self
