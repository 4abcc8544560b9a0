"""Alert rules: a metric of a project that is compared with a threshold, continuously."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from producers.control.record import Microseconds, ProjectRecord

FILTER_VALUES_MAX: Final = 100
GROUP_BY_MAX: Final = 5
LABELS_MAX: Final = 20
LABEL_CHARS_MAX: Final = 500
TEMPLATE_CHARS_MAX: Final = 2_000
DAY_S: Final = 86_400
WINDOW_MIN_S: Final = 10
"""Windows are multiples of this."""
WINDOW_MAX_S: Final = DAY_S
HOLD_MAX_S: Final = 7 * DAY_S
"""Maximum of ``for_s``, ``keep_firing_for_s`` and ``renotify_interval_s``."""

Comparison = Literal[">", ">=", "<", "<="]
NoData = Literal["ok", "alert", "keep"]
Severity = Literal["info", "warning", "critical"]
Calendar = Literal["", "day", "week", "month"]
Earlier = Literal["", "hour", "day", "week"]
DecimalText = Annotated[str, Field(pattern=r"^-?[0-9]{1,40}(\.[0-9]{1,40})?$")]
Seconds = Annotated[int, Field(ge=0, le=HOLD_MAX_S)]
LabelValue = Annotated[str, Field(max_length=LABEL_CHARS_MAX)]


class Anomaly(BaseModel):
    """Compare the value with the same hours of earlier weeks.

    The rule's threshold is the deviation from their median, in (scaled) median absolute deviations.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    weeks: int = Field(4, ge=1, le=8)
    """Number of earlier weeks."""
    season: Literal["week", "day"] = "week"
    """``week``: the same hour of the same weekday; ``day``: the same hour of every day."""
    direction: Literal["above", "below", "both"] = "above"
    samples_min: int = Field(3, ge=1, le=100)
    """With fewer earlier values, the rule has no data."""


class AlertRule(ProjectRecord):
    """A rule. A group of its metric that meets the condition creates one episode of alerts."""

    kind = "alert_rule"
    per_project_max = 500

    name: str = Field(min_length=1, max_length=255)
    description: str = Field("", max_length=2_000)
    enabled: bool = True
    shadow: bool = False
    """Evaluated and recorded, but not delivered."""
    metric: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    """Name in ``producers.alerting.registry.METRICS``."""
    filter: dict[str, tuple[str, ...]] = {}
    """Values of dimensions, and of the metric's further ``filters``. All names must match; of the
    values of a name, one. ``tags`` matches if the trace has the tag."""
    group_by: tuple[str, ...] = Field((), max_length=GROUP_BY_MAX)
    """Dimensions; each combination of values has its own state. ``Metric.group`` is added."""
    comparison: Comparison = ">"
    threshold: DecimalText
    """In the metric's unit. With ``compare_with`` a factor, with ``anomaly`` a number of
    deviations."""
    recovery_threshold: DecimalText | None = None
    """A firing group recovers when the comparison with this is false; None: the threshold."""
    window_s: int = Field(ge=WINDOW_MIN_S, le=31 * DAY_S, multiple_of=10)
    """Length of the window, which slides by 10 s. If ``calendar`` is set, it has no effect."""
    calendar: Calendar = ""
    """If it is set, the window is the current day, week or month of ``time_zone``."""
    time_zone: str = Field("UTC", max_length=100)
    min_count: int = Field(0, ge=0, lt=2**53)
    """With fewer observations in the window, the condition is false."""
    for_s: Seconds = 0
    keep_firing_for_s: Seconds = 0
    renotify_interval_s: Seconds = 0
    """Interval of repeated ``alert.firing`` events while a group is firing; 0: none."""
    no_data: NoData = "ok"
    """What a group without data is: not firing, ``alert.no_data``, or in its last state."""
    severity: Severity = "warning"
    labels: dict[str, LabelValue] = Field({}, max_length=LABELS_MAX)
    annotations: dict[str, str] = Field({}, max_length=LABELS_MAX)
    """Templates (``producers.alerting.templates``) by name."""
    inhibited_by: tuple[str, ...] = Field((), max_length=LABELS_MAX)
    """Names of labels (``producers.alerting.silences.labels_of``). While a group of another rule
    with higher severity is firing and has equal values of all of them, this rule's alerts are
    recorded, but not delivered; empty: never."""
    compare_with: Earlier = ""
    """If it is set, the value is divided by that of the same window an hour, day or week before."""
    anomaly: Anomaly | None = None
    created_us: Microseconds
    updated_us: Microseconds = 0
    version: int = Field(1, ge=1)
    """Counts the changes of the rule."""
    author: str = Field("", max_length=255)
    """Public key of the key that made the last change."""

    @property
    def threshold_value(self) -> Decimal:
        """Return the threshold as a number."""
        return Decimal(self.threshold)

    @property
    def recovery_value(self) -> Decimal:
        """Return the threshold below (or above) which a firing group recovers."""
        text = self.recovery_threshold
        return Decimal(self.threshold if text is None else text)
