"""Define the bodies of ``/v1/silences``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from producers.alerting.silences import compiled
from producers.control.kinds.silence import (
    MATCHERS_MAX,
    MINUTES_OF_DAY,
    WEEKDAYS,
    Matcher,
    Recurring,
    Weekday,
)
from query_api.body import Body
from query_api.durations import duration_field
from query_api.openapi.alert_examples import SILENCE_REQUEST_EXAMPLE
from query_api.texts import Lines, OneLine
from query_api.times import RecordInstant, TimeZone

DURATION_MAX_S: Final = 365 * 86_400
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)


def _minute(text: object) -> int:
    found = _TIME_OF_DAY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a time of the day such as 22:00 is expected")
    return MINUTES_OF_DAY if found[1] is None else int(found[1]) * 60 + int(found[2])


TimeOfDay = Annotated[int, BeforeValidator(_minute, json_schema_input_type=str)]


class MatcherBody(Body):
    """A condition on one label."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$",
        description="A label of the rule, a dimension of `group_by`, or `rule_id`, `rule_name`,"
        " `metric` or `severity`.",
    )
    op: Literal["=", "!=", "=~", "!~"] = Field(
        "=", description="`=~` and `!~` match the whole value with a regular expression (RE2)."
    )
    value: str = Field(max_length=1_000)

    @model_validator(mode="after")
    def _has_a_valid_pattern(self) -> Self:
        if self.op in {"=~", "!~"}:
            compiled(self.value)
        return self

    def as_record(self) -> Matcher:
        return Matcher(name=self.name, op=self.op, value=self.value)


def _matchers(given: object) -> object:
    """Convert an object of names and values to matchers."""
    if not isinstance(given, dict):
        return given
    return [{"name": name, "value": value} for name, value in given.items()]


class RecurringBody(Body):
    """Hours of some weekdays."""

    model_config = ConfigDict(extra="forbid")

    days: list[Weekday] = Field(default=list(WEEKDAYS), min_length=1, max_length=len(WEEKDAYS))
    start: TimeOfDay = Field(default="00:00", validate_default=True)
    end: TimeOfDay = Field(
        default="24:00",
        validate_default=True,
        description="If it is not after `start`, the hours end on the next day.",
    )
    time_zone: TimeZone = "UTC"

    def as_record(self) -> Recurring:
        return Recurring(
            days=tuple(day for day in WEEKDAYS if day in self.days),
            start_minute=self.start,
            end_minute=self.end,
            time_zone=self.time_zone,
        )


class SilenceBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [SILENCE_REQUEST_EXAMPLE]}
    )

    matchers: Annotated[
        list[MatcherBody],
        BeforeValidator(_matchers, json_schema_input_type=list[MatcherBody] | dict[str, str]),
    ] = Field(
        min_length=1,
        max_length=MATCHERS_MAX,
        description="Alerts are silenced if all matchers match. An object of names and values is a"
        " short form.",
    )
    author: OneLine = Field("", max_length=255)
    reason: Lines = Field("", max_length=2_000)
    starts_at: RecordInstant | None = Field(None, description="By default, now.")
    ends_at: RecordInstant | None = Field(
        None, description="Required, unless `duration` or `recurring` is given."
    )
    duration: duration_field(  # type: ignore[valid-type]
        DURATION_MAX_S, "Time from `starts_at` to the end, instead of `ends_at`.", ["2h"]
    ) = 0
    recurring: RecurringBody | None = Field(
        None, description="The silence is active only in these hours (a mute window)."
    )


class SilenceChange(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ends_at": "2026-11-21T16:00:00Z"}]}
    )

    reason: Lines | None = Field(None, max_length=2_000)
    ends_at: RecordInstant | None = None


def given_fields(change: SilenceChange) -> dict[str, Any]:
    """Return the record's fields that a change sets."""
    fields: dict[str, Any] = {}
    if change.reason is not None:
        fields["reason"] = change.reason
    if change.ends_at is not None:
        fields["ends_us"] = change.ends_at
    return fields
