"""Define the bodies of ``/v1/alert-rules``."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import (
    FILTER_VALUES_MAX,
    GROUP_BY_MAX,
    HOLD_MAX_S,
    LABELS_MAX,
    TEMPLATE_CHARS_MAX,
    WINDOW_MAX_S,
    WINDOW_MIN_S,
    Comparison,
    Earlier,
    LabelValue,
    NoData,
    Severity,
)
from producers.dimensions.registry import REGISTRY
from query_api.body import Body, of_changes
from query_api.decimals import DecimalNumber
from query_api.durations import duration_field, duration_s, duration_text
from query_api.openapi.alert_rule_examples import RULE_REQUEST_EXAMPLE
from query_api.texts import Lines, RecordName, require_one_line
from query_api.times import TimeZone

FILTERS_MAX: Final = 64
DAY: Final = "1d"


@dataclass(frozen=True, slots=True)
class Window:
    """The length of a window; ``is_day`` if it was given as ``1d``."""

    seconds: int
    is_day: bool = False


def _window(value: object) -> Window:
    seconds = duration_s(value)
    if not WINDOW_MIN_S <= seconds <= WINDOW_MAX_S or seconds % WINDOW_MIN_S:
        shown = duration_text(seconds)
        raise ValueError(
            f"{shown!r} is not allowed; a multiple of {WINDOW_MIN_S}s from {WINDOW_MIN_S}s to 24h,"
            f" or {DAY}, is expected"
        )
    return Window(seconds, value == DAY)


WindowText = Annotated[
    Any,
    BeforeValidator(_window),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["5m", "1d"]}),
    Field(
        description="Length of the window, from `10s` to `24h`, a multiple of 10 s; it slides by"
        " 10 s. With `cost`, `tokens` and counts, `1d` is the calendar day of `time_zone`."
    ),
]


def as_lists(filters: object) -> object:
    """Convert single values of filters to lists, and numbers such as versions to texts."""
    if not isinstance(filters, dict):
        return filters
    return {_dimension(name, filters): _texts(each) for name, each in filters.items()}


def _texts(values: object) -> object:
    if isinstance(values, list):
        return [_text(each) for each in values]
    text = _text(values)
    return [text] if isinstance(text, str) else values


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _dimension(name: object, names: Container[object]) -> object:
    """Return the name of the dimension that has an alias, unless both are given."""
    known = REGISTRY.name_of(name) if isinstance(name, str) else name
    return name if known in names else known


def _dimensions(names: object) -> object:
    """Convert a single dimension to a list."""
    if isinstance(names, str):
        names = [names]
    return [_dimension(each, names) for each in names] if isinstance(names, list) else names


FilterValues = Annotated[
    list[Annotated[str, Field(max_length=1_000)]],
    Field(min_length=1, max_length=FILTER_VALUES_MAX),
]
Filter = Annotated[
    dict[Annotated[str, Field(max_length=100)], FilterValues],
    BeforeValidator(as_lists, json_schema_input_type=dict[str, str | int | list[str | int]]),
    Field(
        max_length=FILTERS_MAX,
        description="Values of dimensions; of several values of one dimension, any matches."
        " The allowed names depend on the metric.",
        examples=[{"environment": ["production"]}],
    ),
]


def _known_metric(name: str) -> str:
    if name not in METRICS:
        names = ", ".join(METRICS)
        raise PydanticCustomError(
            "unknown_metric",
            "{shown} is not allowed; allowed: {names}",
            {
                "shown": repr(name[:64]),
                "names": names,
                "expected": ", ".join(map(repr, METRICS)),  # the member `allowed` of the error
            },
        )
    return name


MetricName = Annotated[
    str,
    Field(max_length=100, description="What is measured; see `GET /v1/alert-metrics`."),
    AfterValidator(_known_metric),
    WithJsonSchema({"type": "string", "enum": list(METRICS)}),
]
LabelName = Annotated[str, Field(max_length=1_000)]
Labels = Annotated[
    dict[LabelName, Annotated[LabelValue, AfterValidator(require_one_line)]],
    Field(max_length=LABELS_MAX),
]
Annotations = Annotated[
    dict[LabelName, Annotated[Lines, Field(max_length=TEMPLATE_CHARS_MAX)]],
    Field(
        max_length=LABELS_MAX,
        description="Texts of alerts: Jinja2 templates with `value`, `threshold`, `group`, …",
        examples=[{"summary": "{{ group.model }}: {{ value|round(1) }} {{ unit }}"}],
    ),
]


class AnomalyBody(Body):
    """Compare with the same hours of earlier weeks instead of with a number.

    The threshold is the allowed deviation from their median, in median absolute deviations.
    """

    model_config = ConfigDict(extra="forbid")

    weeks: int = Field(4, ge=1, le=8, description="Number of earlier weeks.")
    season: Literal["week", "day"] = Field(
        "week",
        description="`week`: the same hour of the same weekday. `day`: the same hour of all days.",
    )
    direction: Literal["above", "below", "both"] = "above"
    samples_min: int = Field(
        3, ge=1, le=100, description="With fewer earlier values, there is no data."
    )


class AlertRuleBody(Body):
    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [RULE_REQUEST_EXAMPLE]},
    )

    name: RecordName
    description: Lines = Field("", max_length=2_000)
    enabled: bool = True
    shadow: bool = Field(False, description="Evaluate and record, but do not deliver.")
    metric: MetricName
    filter: Filter = {}
    group_by: Annotated[
        list[Annotated[str, Field(max_length=100)]],
        BeforeValidator(_dimensions, json_schema_input_type=str | list[str]),
    ] = Field(
        default=[],
        max_length=GROUP_BY_MAX,
        description="Dimensions; each combination of their values has alerts of its own.",
    )
    comparison: Comparison = ">"
    threshold: DecimalNumber | None = Field(
        None,
        description="In the unit of the metric: latencies in seconds, ratios from 0 to 1, US"
        " dollars. With `compare_with`, a factor. Required, except for `silence` (the window) and"
        " with `anomaly` (5).",
    )
    recovery_threshold: DecimalNumber | None = Field(
        None, description="A firing alert recovers at this value; by default, at the threshold."
    )
    window: WindowText = Field(default="5m", validate_default=True)
    time_zone: TimeZone = "UTC"
    min_count: int = Field(
        0, ge=0, lt=2**53, description="Minimum number of observations in the window."
    )
    for_s: duration_field(  # type: ignore[valid-type]
        HOLD_MAX_S, "Time for which the condition must be true before the alert fires.", ["2m"]
    ) = Field(0, alias="for")
    keep_firing_for: duration_field(  # type: ignore[valid-type]
        HOLD_MAX_S, "Time for which the condition must be false before it is resolved.", ["5m"]
    ) = 0
    renotify_interval: duration_field(  # type: ignore[valid-type]
        HOLD_MAX_S, "Interval of repeated notifications while the alert is firing; 0: none.", ["4h"]
    ) = 0
    no_data: NoData = Field(
        "ok",
        description="What a group without data is: `ok` (not firing), `alert` (`alert.no_data`), or"
        " `keep` (in its last state).",
    )
    severity: Severity = "warning"
    labels: Labels = {}
    annotations: Annotations = {}
    inhibited_by: list[Annotated[str, Field(max_length=100)]] = Field(
        default=[],
        max_length=LABELS_MAX,
        description="Names of labels. While an alert of higher severity with equal values of all"
        " of them is firing, alerts of this rule are not delivered.",
    )
    compare_with: Earlier | None = Field(
        None,
        description="Divide the value by that of the same window an hour, a day or a week before.",
    )
    anomaly: AnomalyBody | None = None


class AlertRuleTrialBody(AlertRuleBody):
    """A rule that is only tried out, which needs no name."""

    name: RecordName = "backtest"


class AlertRuleChange(AlertRuleBody):
    """Fields of the rule; those that are absent do not change."""

    model_config = ConfigDict(json_schema_extra=of_changes({"enabled": False}))

    name: RecordName = ""
    metric: MetricName = ""
