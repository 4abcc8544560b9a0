"""Budgets: limits of spend in a period."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from producers.control.periods import TOTAL, Period, rolling_us
from producers.control.record import Microseconds, ProjectRecord
from producers.dimensions.registry import REGISTRY

THRESHOLDS_MAX: Final = 20
LIMITS_MAX: Final = 10
TIERS_MAX: Final = 50
OVERRIDES_MAX: Final = 1_000
GROUP_BY_MAX: Final = 3
USER: Final = "user_id"
"""The dimension that has tiers."""
LIMIT_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"

Forecast = Literal["", "linear", "hour_of_week"]
LimitPico = Annotated[int, Field(gt=0, lt=2**63)]


class BudgetLimit(BaseModel):
    """A limit of spend per period: one for all groups, or one for each tier of users."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,64}$")
    """Unique in the budget; empty if it is the only limit."""
    period: Period
    limit_pico: LimitPico | None = None
    """None: the limit depends on the tier."""
    tiers: dict[str, LimitPico] = Field({}, max_length=TIERS_MAX)
    """Limits by tier; users of other tiers, and without any, have that of ``default_tier``."""
    default_tier: str = ""
    overrides: dict[str, LimitPico] = Field({}, max_length=OVERRIDES_MAX)
    """Limits of single users, by user id."""


class BurnRate(BaseModel):
    """An alert when spend is too fast in a short and in a long window, relative to the limit.

    A factor of 1 spends exactly the limit within the period.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    fast_s: int = Field(gt=0)
    slow_s: int = Field(gt=0)
    factor: str = "1"
    """Decimal string."""


class Budget(ProjectRecord):
    """Limits of spend per period in a scope of a project; their thresholds create alerts."""

    kind = "budget"
    per_project_max = 1_000

    name: str = Field(min_length=1, max_length=255)
    scope: dict[str, str] = {}
    """Values of dimensions of spend, by the name of the dimension; empty: the whole project."""
    group_by: tuple[str, ...] = Field((), max_length=GROUP_BY_MAX)
    """Dimensions of spend, sorted; each combination of their values has the limits of its own."""
    period: Period = "day"
    time_zone: str = "UTC"
    """IANA name of the time zone in which calendar periods begin."""
    limit_pico: LimitPico | None = None
    """This field and the following ones up to ``overrides`` describe the only limit. They have no
    effect if ``limits`` is set."""
    tiers: dict[str, LimitPico] = Field({}, max_length=TIERS_MAX)
    default_tier: str = ""
    overrides: dict[str, LimitPico] = Field({}, max_length=OVERRIDES_MAX)
    limits: tuple[BudgetLimit, ...] = Field((), max_length=LIMITS_MAX)
    """Several limits, such as one per day and one per month."""
    thresholds: tuple[str, ...] = Field(min_length=1, max_length=THRESHOLDS_MAX)
    """Shares of each limit as decimal strings, in ascending order."""
    forecast: Forecast = ""
    """How spend is forecast; a forecast above the limit creates an alert. Empty: it is not."""
    burn_rate: BurnRate | None = None
    created_us: Microseconds

    def all_limits(self) -> tuple[BudgetLimit, ...]:
        """Return the limits; a single one has no name."""
        if self.limits:
            return self.limits
        only = BudgetLimit(
            period=self.period,
            limit_pico=self.limit_pico,
            tiers=self.tiers,
            default_tier=self.default_tier,
            overrides=self.overrides,
        )
        return (only,)

    @field_validator("forecast", mode="before")
    @classmethod
    def _of_earlier_versions(cls, forecast: Any) -> Any:
        return {True: "linear", False: ""}.get(forecast, forecast)

    @field_validator("scope")
    @classmethod
    def _known_dimensions(cls, scope: dict[str, str]) -> dict[str, str]:
        _check_dimensions("scope", scope)
        return scope

    @field_validator("group_by")
    @classmethod
    def _known_groups(cls, group_by: tuple[str, ...]) -> tuple[str, ...]:
        _check_dimensions("group_by", group_by)
        if len(set(group_by)) != len(group_by):
            message = "group_by: a dimension appears twice"
            raise ValueError(message)
        return tuple(sorted(group_by))

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, time_zone: str) -> str:
        try:
            ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError) as error:
            message = f"not an IANA time zone: {time_zone!r}"
            raise ValueError(message) from error
        return time_zone

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, thresholds: tuple[str, ...]) -> tuple[str, ...]:
        shares = {_share(threshold): threshold for threshold in thresholds}
        if len(shares) != len(thresholds):
            message = "a threshold appears twice"
            raise ValueError(message)
        return tuple(shares[share] for share in sorted(shares))

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        for limit in self.all_limits():
            fault = fault_of_limit(limit, self.group_by)
            if fault is not None:
                raise ValueError(": ".join(fault))
        names = [limit.name for limit in self.limits]
        if len(set(names)) != len(names) or (self.limits and not all(names)):
            message = "limits: each must have a unique name"
            raise ValueError(message)
        return self


def fault_of_limit(limit: Any, group_by: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the field of a limit that is invalid, and why; None if the limit is valid."""
    depends_on_user = bool(limit.tiers or limit.overrides)
    if limit.limit_pico is None and not limit.tiers:
        return "limit_usd", "set limit_usd, tiers or limits"
    if limit.limit_pico is not None and limit.tiers:
        return "tiers", "cannot be combined with limit_usd"
    if depends_on_user and USER not in group_by:
        name = "tiers" if limit.tiers else "overrides"
        return name, f'needs "{USER}" in group_by, because limits differ by user'
    if limit.tiers and limit.default_tier not in limit.tiers:
        return "default_tier", f"must be one of {', '.join(sorted(limit.tiers))}"
    if limit.default_tier and not limit.tiers:
        return "default_tier", "needs tiers"
    return None


def has_end(period: str) -> bool:
    """Return whether a period ends, so that its spend can be forecast."""
    return period != TOTAL and not rolling_us(period)


def _check_dimensions(field: str, names: Any) -> None:
    allowed = [each.name for each in REGISTRY.of_spend()]
    unknown = [name for name in names if name not in allowed]
    if unknown:
        message = f"{field}: {unknown[0][:64]!r} must be one of {', '.join(allowed)}"
        raise ValueError(message)


def _share(threshold: str) -> Decimal:
    try:
        share = Decimal(threshold)
    except InvalidOperation as error:
        message = f"not a decimal number: {threshold!r}"
        raise ValueError(message) from error
    if not share.is_finite() or not Decimal(0) < share <= Decimal(100):
        message = f"a threshold must be above 0 and at most 100: {threshold!r}"
        raise ValueError(message)
    return share
