"""``budget.burn_rate``: the spend is much faster than the limit allows."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from producers.notifications.alert import Alert
from producers.notifications.budget_event import BudgetAlertOut, BudgetEvent
from producers.notifications.wording import duration_text


class BudgetBurn(msgspec.Struct, frozen=True, kw_only=True):
    """The payload: the rates in a short and a long window, as multiples of the allowed rate."""

    scope: msgspec.Raw
    """JSON object."""
    period_start_us: int
    fast_s: int
    slow_s: int
    fast_rate: float
    slow_rate: float
    factor: str
    spent_pico: int
    limit_pico: int
    trace_id: str = ""
    group: dict[str, str] = {}
    tier: str = ""
    limit_name: str = ""
    period: str = ""
    period_end_us: int = 0
    """0 in alerts of earlier versions."""
    incomplete: bool = False
    """Whether the spend may be higher; false in alerts of earlier versions."""
    time_zone: str = ""
    """The one in which the period begins; empty, for UTC, in alerts of earlier versions."""


class BurnRateAlertOut(BudgetAlertOut, kw_only=True, gc=False):
    """A high burn rate in ``/v1/alerts``."""

    fast_window_s: int
    slow_window_s: int
    fast_rate: float
    """Spend in the short window, as a multiple of what the limit allows."""
    slow_rate: float
    factor: str
    """The multiple that both rates reached."""


class BudgetBurnRate(BudgetEvent[BudgetBurn]):
    """The event type ``budget.burn_rate``."""

    name = "budget.burn_rate"
    payload = BudgetBurn
    shape = BurnRateAlertOut

    def sentence(self, alert: Alert, payload: BudgetBurn) -> str:
        """Return the rates, and the spend."""
        fast, slow = duration_text(payload.fast_s), duration_text(payload.slow_s)
        return (
            f"spend is {payload.fast_rate:.1f} times (in {fast}) and {payload.slow_rate:.1f} times "
            f"(in {slow}) what the limit allows; {super().sentence(alert, payload)}"
        )

    def details(self, payload: BudgetBurn) -> Mapping[str, object]:
        """Return the members that only this type has."""
        return {
            "fast_window_s": payload.fast_s,
            "slow_window_s": payload.slow_s,
            "fast_rate": payload.fast_rate,
            "slow_rate": payload.slow_rate,
            "factor": payload.factor,
        }
