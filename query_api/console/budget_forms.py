"""Convert forms of budgets to bodies of ``/v1/budgets``, and budgets to forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from producers.control.kinds.budget import Budget
from producers.dimensions.registry import REGISTRY
from query_api.budgets.bodies import BudgetBody
from query_api.budgets.records import shown_budget
from query_api.console.form_bodies import FormError, body_of, checked, lines_of, pairs_of
from query_api.decimals import decimal_text

DIMENSIONS: Final = tuple(each.name for each in REGISTRY.of_spend())
"""Dimensions of scopes and groups."""
PERIODS: Final = ("hour", "day", "week", "month", "total", "rolling_24h", "rolling_7d")
FORECASTS: Final = ("", "linear", "hour_of_week")
FIELDS: Final = (
    *("name", "period", "limit_usd", "thresholds", "forecast", "time_zone", "scope", "group_by"),
    *(f"scope.{name}" for name in DIMENSIONS),
    *("tiers", "default_tier", "overrides", "limits"),
    *("burn_rate", "burn_rate.fast", "burn_rate.slow", "burn_rate.factor"),
)
_SCOPE: Final = "scope."
_GROUP: Final = "group_by."
_PERCENT: Final = Decimal(100)


def budget_body(form: Mapping[str, str], **changed: Any) -> BudgetBody:
    """Return the body that a form describes, with some fields changed.

    Raises:
        FormError: the form is not valid.
    """
    values: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "scope": {
            name: form[_SCOPE + name].strip()
            for name in DIMENSIONS
            if form.get(_SCOPE + name, "").strip()
        },
        "group_by": checked(form, _GROUP),
        "time_zone": form.get("time_zone", "").strip() or "UTC",
        "thresholds": _shares(form.get("thresholds", "")),
        "forecast": form.get("forecast", "") or False,
        "burn_rate": _burn_rate(form),
    }
    limits = _limits(form.get("limits", ""))
    values |= {"limits": limits} if limits else _limit(form)
    return body_of(BudgetBody, values | changed)


def form_of_budget(budget: Budget) -> dict[str, str]:
    """Return the fields of the form of a budget."""
    shown: dict[str, Any] = msgspec.to_builtins(shown_budget(budget))
    form = {
        "name": budget.name,
        "period": shown.get("period", ""),
        "limit_usd": shown.get("limit_usd", ""),
        "thresholds": ", ".join(_percent(each) for each in budget.thresholds),
        "forecast": budget.forecast,
        "time_zone": budget.time_zone,
        "tiers": _lines(shown.get("tiers", {})),
        "default_tier": budget.default_tier,
        "overrides": _lines(shown.get("overrides", {})),
        "limits": _text_of_limits(shown.get("limits", [])),
    }
    form |= {_SCOPE + name: value for name, value in budget.scope.items()}
    form |= {_GROUP + name: "on" for name in budget.group_by}
    for name, value in shown.get("burn_rate", {}).items():
        form[f"burn_rate.{name}"] = value
    return form


def new_form(parameters: Mapping[str, str], time_zone: str) -> dict[str, str]:
    """Return the fields of the form of a new budget; links can fill them in."""
    form = {"period": "day", "thresholds": "80, 100", "time_zone": time_zone or "UTC"}
    known = {name for name in parameters if name in FIELDS or name.startswith(_GROUP)}
    return form | {name: parameters[name] for name in known}


def _limit(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a budget with one limit."""
    found: dict[str, Any] = {
        "period": form.get("period", "").strip() or None,
        "tiers": pairs_of(form.get("tiers", ""), "tiers"),
        "default_tier": form.get("default_tier", "").strip(),
        "overrides": pairs_of(form.get("overrides", ""), "overrides"),
    }
    if amount := form.get("limit_usd", "").strip().removeprefix("$").replace(",", ""):
        found["limit_usd"] = amount
    elif not found["tiers"]:
        raise FormError({"limit_usd": "enter the limit in US dollars, such as 25"})
    return found


def _limits(text: str) -> list[Any]:
    """Return several limits: lines such as `daily day 10`, or JSON as in the API."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormError({"limits": f"not valid JSON: {error}"}) from error
        return found if isinstance(found, list) else []
    limits = []
    for line in lines_of(text, "limits"):
        words = line.split()
        if len(words) != 3:  # name, period, amount
            message = f"{line[:64]!r} is not a line such as daily day 10"
            raise FormError({"limits": message})
        limits.append(dict(zip(("name", "period", "limit_usd"), words, strict=True)))
    return limits


def _text_of_limits(limits: list[dict[str, Any]]) -> str:
    plain = {"name", "period", "limit_usd"}
    if all(each.keys() == plain for each in limits):
        return "\n".join(f"{each['name']} {each['period']} {each['limit_usd']}" for each in limits)
    return json.dumps(limits, ensure_ascii=False, indent=1)


def _shares(text: str) -> list[str]:
    """Return the shares of a list of percentages."""
    shares = []
    for part in text.replace("%", " ").replace(",", " ").split():
        try:
            # Not with an exponent: the digits of one could fill the memory.
            share = Decimal(decimal_text(part)) / _PERCENT
        except ValueError as error:
            message = f"{part[:64]!r} is not a percentage, such as 80"
            raise FormError({"thresholds": message}) from error
        shares.append(format(share, "f"))
    return shares


def _percent(share: str) -> str:
    return format((Decimal(share) * _PERCENT).normalize(), "f")


def _burn_rate(form: Mapping[str, str]) -> dict[str, str] | None:
    names = ("fast", "slow", "factor")
    given = {name: value for name in names if (value := form.get(f"burn_rate.{name}", "").strip())}
    return given or None


def _lines(amounts: Mapping[str, str]) -> str:
    return "\n".join(f"{name} = {amount}" for name, amount in amounts.items())
