"""``budget.forecast_exceeded``: the spend will probably exceed the limit within the period."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from producers.money import usd_text
from producers.notifications.alert import Alert
from producers.notifications.budget_event import BudgetAlertOut, BudgetEvent
from producers.notifications.event_type import iso_time
from producers.notifications.wording import minute_text, percent_text


class BudgetForecast(msgspec.Struct, frozen=True, kw_only=True):
    """The payload: the expected spend at the end of the period."""

    scope: msgspec.Raw
    """JSON object."""
    period_start_us: int
    period_end_us: int
    spent_pico: int
    forecast_pico: int
    """Expected spend at the end of the period."""
    limit_pico: int
    reached_us: int
    """When the spend will reach the limit."""
    trace_id: str = ""
    group: dict[str, str] = {}
    tier: str = ""
    limit_name: str = ""
    period: str = ""
    method: str = "linear"
    """How it was forecast; ``linear`` also while usual spend is not known."""
    incomplete: bool = False
    """Whether the spend may be higher; false in alerts of earlier versions."""
    time_zone: str = ""
    """The one in which the period begins; empty, for UTC, in alerts of earlier versions."""


class ForecastAlertOut(BudgetAlertOut, kw_only=True, gc=False):
    """A forecast above the limit in ``/v1/alerts``."""

    forecast_usd: str
    """Expected spend at the end of the period."""
    limit_reached_at: str
    method: str
    """`linear` or `hour_of_week`."""


class BudgetForecastExceeded(BudgetEvent[BudgetForecast]):
    """The event type ``budget.forecast_exceeded``."""

    name = "budget.forecast_exceeded"
    payload = BudgetForecast
    shape = ForecastAlertOut

    def sentence(self, alert: Alert, payload: BudgetForecast) -> str:
        """Return the forecast, and the spend."""
        share = percent_text(payload.forecast_pico, payload.limit_pico)
        reached = minute_text(payload.reached_us, payload.time_zone)
        return (
            f"${usd_text(payload.forecast_pico)} expected ({share} of the limit, which is reached "
            f"{reached}); {super().sentence(alert, payload)}"
        )

    def details(self, payload: BudgetForecast) -> Mapping[str, object]:
        """Return the members that only this type has."""
        return {
            "forecast_usd": usd_text(payload.forecast_pico),
            "limit_reached_at": iso_time(payload.reached_us),
            "method": payload.method,
        }
