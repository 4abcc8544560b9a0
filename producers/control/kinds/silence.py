"""Silences: alerts that match are evaluated and recorded, but not delivered."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from producers.control.record import Microseconds, ProjectRecord

MATCHERS_MAX: Final = 20
MINUTES_OF_DAY: Final = 1_440
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Minute = Annotated[int, Field(ge=0, le=MINUTES_OF_DAY)]


class Matcher(BaseModel):
    """A condition on one label of an alert (``producers.alerting.silences.labels_of``)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    op: Literal["=", "!=", "=~", "!~"] = "="
    """``=~`` and ``!~`` match the whole value with a regular expression (RE2)."""
    value: str = Field(max_length=1_000)


class Recurring(BaseModel):
    """Hours of some weekdays in which a silence is active, between its start and its end."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    days: tuple[Weekday, ...] = WEEKDAYS
    start_minute: Minute = 0
    """Minute of the local day at which the hours begin."""
    end_minute: Minute = MINUTES_OF_DAY
    """If it is not after ``start_minute``, the hours end on the next day."""
    time_zone: str = Field("UTC", max_length=100)


class Silence(ProjectRecord):
    """A silence; it is active from ``starts_us`` to ``ends_us``, always or in recurring hours."""

    kind = "silence"
    per_project_max = 1_000

    matchers: tuple[Matcher, ...] = Field(min_length=1, max_length=MATCHERS_MAX)
    """All of them must match."""
    author: str = Field("", max_length=255)
    reason: str = Field("", max_length=2_000)
    starts_us: Microseconds
    ends_us: Microseconds | None = None
    """None: until it is expired."""
    recurring: Recurring | None = None
    created_us: Microseconds
