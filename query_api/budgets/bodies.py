"""Define the bodies of requests that create and change budgets."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from producers.control.kinds.budget import (
    GROUP_BY_MAX,
    LIMIT_NAME,
    LIMITS_MAX,
    OVERRIDES_MAX,
    THRESHOLDS_MAX,
    TIERS_MAX,
)
from producers.control.periods import ALLOWED, Period
from producers.tiers.record import TIER_CHARS_MAX
from query_api.body import Body, of_changes
from query_api.durations import duration_field
from query_api.money import pico_of, usd_text
from query_api.openapi.v1_examples import BUDGET_REQUEST_EXAMPLE
from query_api.texts import OneLine, RecordName
from query_api.times import TimeZone
from query_api.v1.budget_scope import BudgetScope

LIMIT_MAX_PICO: Final = 2**63 - 1
THRESHOLD_MAX: Final = 100
BURN_WINDOW_MAX_S: Final = 7 * 86_400
_THRESHOLD_DECIMALS: Final = 6
_DECIMAL: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


def _limit_pico(amount: object) -> int:
    """Parse US dollars; a JSON number is read as its shortest decimal representation."""
    if isinstance(amount, bool) or not isinstance(amount, str | int | float):
        raise ValueError('must be a decimal string such as "0.10"')  # noqa: TRY004
    if isinstance(amount, str):
        _require_decimal(amount)
    pico = pico_of(amount if isinstance(amount, str) else repr(amount))
    if not 0 < pico <= LIMIT_MAX_PICO:
        raise ValueError(f"must be above 0 and at most {usd_text(LIMIT_MAX_PICO)}")
    return pico


def _require_decimal(text: str) -> None:
    """Refuse forms that only ``Decimal`` accepts, such as underscores, spaces and exponents."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"must be a decimal number above 0, such as 0.10, not {text[:64]!r}")


def _forecast(given: object) -> object:
    """Return the name of a method; true is ``linear``."""
    if isinstance(given, bool):
        return "linear" if given else ""
    if given not in ("linear", "hour_of_week", ""):
        raise ValueError("true, false, linear or hour_of_week is expected")
    return given


def _share(share: object) -> str:
    if isinstance(share, bool) or not isinstance(share, str | int | float):
        raise ValueError("must be a number such as 0.8")  # noqa: TRY004
    if isinstance(share, str):
        _require_decimal(share)
    try:
        number = Decimal(str(share))
    except InvalidOperation as error:
        raise ValueError(f"must be a number, not {str(share)[:64]!r}") from error
    if not number.is_finite() or not 0 < number <= THRESHOLD_MAX:
        raise ValueError(f"must be above 0 and at most {THRESHOLD_MAX}")
    if number != round(number, _THRESHOLD_DECIMALS):
        raise ValueError(f"must have at most {_THRESHOLD_DECIMALS} decimals")
    return format(number.normalize(), "f")


Usd = Annotated[
    int,
    BeforeValidator(_limit_pico, json_schema_input_type=str | float),
    Field(description="US dollars; a decimal string is exact."),
]
ForecastMethod = Annotated[
    Literal["", "linear", "hour_of_week"],
    BeforeValidator(_forecast),
    WithJsonSchema({"enum": [False, True, "linear", "hour_of_week"]}),
]
Share = Annotated[str, BeforeValidator(_share, json_schema_input_type=float | str)]
TierName = Annotated[OneLine, Field(min_length=1, max_length=TIER_CHARS_MAX)]
UserId = Annotated[str, Field(min_length=1, max_length=1_000)]
_TIERS: Final = "Limits by tier of the user; needs `user_id` in `group_by`, and `default_tier`."
_DEFAULT_TIER: Final = "Tier of users without a tier, or with a tier that is not in `tiers`."
_OVERRIDES: Final = "Limits of single users, by user id; needs `user_id` in `group_by`."


class LimitBody(Body):
    """One of several limits of a budget."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(
        None, pattern=LIMIT_NAME, description="Unique in the budget; by default, the period."
    )
    period: Period = Field(description=f"One of {ALLOWED}.")
    limit_usd: Usd | None = None
    tiers: dict[TierName, Usd] = Field({}, max_length=TIERS_MAX, description=_TIERS)
    default_tier: str = Field("", max_length=TIER_CHARS_MAX, description=_DEFAULT_TIER)
    overrides: dict[UserId, Usd] = Field({}, max_length=OVERRIDES_MAX, description=_OVERRIDES)


class BurnRateBody(Body):
    """Alert when spend is ``factor`` times as fast as the limit allows, in both windows."""

    model_config = ConfigDict(extra="forbid")

    fast: duration_field(  # type: ignore[valid-type]
        BURN_WINDOW_MAX_S, "The short window.", ["5m"]
    ) = 300
    slow: duration_field(  # type: ignore[valid-type]
        BURN_WINDOW_MAX_S, "The long window.", ["1h"]
    ) = 3_600
    factor: Share = Field("2", description="Multiple of the rate that spends exactly the limit.")

    @field_validator("fast", "slow")
    @classmethod
    def _not_zero(cls, seconds: int) -> int:
        if seconds < _BURN_WINDOW_MIN_S:
            raise ValueError("must be at least 1m")
        return seconds


_BURN_WINDOW_MIN_S: Final = 60


class BudgetBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [BUDGET_REQUEST_EXAMPLE]}
    )

    name: RecordName
    scope: BudgetScope = BudgetScope()
    group_by: list[str] = Field(
        default=[],
        max_length=GROUP_BY_MAX,
        description="Dimensions of spend, such as `user_id`: each of their values has the limits"
        " of its own.",
    )
    period: Period | None = Field(default=None, description=f"One of {ALLOWED}.")
    time_zone: TimeZone = "UTC"
    limit_usd: Usd | None = None
    tiers: dict[TierName, Usd] = Field({}, max_length=TIERS_MAX, description=_TIERS)
    default_tier: str = Field("", max_length=TIER_CHARS_MAX, description=_DEFAULT_TIER)
    overrides: dict[UserId, Usd] = Field({}, max_length=OVERRIDES_MAX, description=_OVERRIDES)
    limits: list[LimitBody] = Field(
        default=[],
        max_length=LIMITS_MAX,
        description="Several limits, instead of `period`, `limit_usd` and `tiers`.",
    )
    thresholds: list[Share] = Field(
        default=["0.8", "1"],
        min_length=1,
        max_length=THRESHOLDS_MAX,
        description="Fractions of the limit. Crossing one creates an alert.",
    )
    forecast: ForecastMethod = Field(
        default=False,
        validate_default=True,
        description="Whether and how a forecast above the limit creates an alert. `linear` (or"
        " `true`): spend goes on at its rate so far. `hour_of_week`: the rest of the period is like"
        " the same hours of the last four weeks.",
    )
    burn_rate: BurnRateBody | None = None

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, thresholds: list[str]) -> list[str]:
        if len(set(thresholds)) != len(thresholds):
            raise ValueError("a threshold appears twice")
        return sorted(thresholds, key=Decimal)


class BudgetTrialBody(BudgetBody):
    """A budget that is only tried out, which needs no name."""

    name: RecordName = "backtest"


class BudgetChange(BudgetBody):
    """The fields to change; the others stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=of_changes({"limit_usd": "0.20"}))

    name: RecordName = ""
