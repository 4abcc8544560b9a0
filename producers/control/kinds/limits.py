"""Define the record of a project's own rate limits and quotas, which replace the defaults."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from producers.control.record import Microseconds, ProjectRecord

Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
BurstSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Limits(ProjectRecord):
    """The limits of a project; the id is that of the project.

    For each limit, None means the default of the installation, and 0 means no limit.
    """

    kind = "limits"
    plural = "limits"

    events_per_s: Amount | None = None
    bytes_per_s: Amount | None = None
    burst_s: BurstSeconds | None = None
    """Size of a burst after a pause, in seconds of the maximum rates."""
    quota_period: Literal["day", "month"] | None = None
    """Period of the quotas, in UTC."""
    quota_events: Count | None = None
    """Maximum number of events per period."""
    quota_bytes: Count | None = None
    """Maximum bytes per period."""
    created_us: Microseconds

    @model_validator(mode="after")
    def _check_id(self) -> Self:
        if self.id != self.project_id:
            raise ValueError("id: must equal project_id")
        return self
