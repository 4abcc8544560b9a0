"""Decide whether a call may be made: whether all limits that apply to it leave enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from producers.budgets.groups import group_text, limit_of_group
from producers.control.kinds.budget import USER
from producers.control.periods import FOREVER_US, period_bounds
from producers.money import usd_text
from query_api.decisions.call import Call
from query_api.decisions.rules import LimitRule
from query_api.decisions.states import SpentStates
from query_api.times import iso

Reason = Literal["no_budget", "within_limit", "limit_reached", "estimate_exceeds_limit"]


STATED_TIER: Final = "user_tier"
"""The dimension with the tier that a trace states; one that the project has set outranks it."""


class Decision(msgspec.Struct, kw_only=True):
    """Whether a call may be made. The limit with the smallest remaining amount decides."""

    allow: bool
    reason: Reason
    message: str
    remaining_usd: str | None
    """What the limit leaves before this call; negative if spend exceeds it. Null without a
    limit."""
    budget_id: str | None
    """The budget with the smallest remaining amount."""
    budget_name: str | None
    limit_name: str | None
    limit_usd: str | None
    spent_usd: str | None
    estimated_usd: str | None
    """Null if the estimated tokens have no price; nothing is estimated then."""
    group: dict[str, str]
    """Values of the budget's ``group_by``."""
    tier: str | None
    """Tier whose limit applies."""
    period_end: str | None
    """When the period ends; null for periods without an end and rolling ones."""
    incomplete: list[str]
    """Budgets that apply, but whose spend is not completely known, so that it may be higher."""
    as_of: str | None
    """Spend of all calls that were processed before this time is included; null: not known yet."""
    staleness_s: float | None


class _AppliedLimit(msgspec.Struct):
    """A limit that applies to a call."""

    rule: LimitRule
    group: dict[str, str]
    tier: str
    limit_pico: int
    spent_pico: int
    end_us: int

    @property
    def remaining_pico(self) -> int:
        return self.limit_pico - self.spent_pico


def decide(
    call: Call,
    estimated_pico: int | None,
    rules: Iterable[LimitRule],
    states: SpentStates,
    mapped_tier: str,
    now_us: int,
    as_of_us: int | None,
) -> Decision:
    """Return the decision about a call.

    Args:
        call: the call.
        estimated_pico: its estimated cost; None if it is not known.
        rules: the limits whose scope includes it.
        states: what was spent.
        mapped_tier: the tier that the project has set for the call's user; empty: none.
        now_us: the time, which determines the current periods.
        as_of_us: the time up to which ``states`` are complete; None if it is not known.
    """
    tightest: _AppliedLimit | None = None
    incomplete: dict[str, None] = {}
    for rule in rules:
        applied, is_complete = _applied_limit(call, rule, states, mapped_tier, now_us)
        if not is_complete:
            incomplete[rule.budget.id] = None
        if applied is None:
            continue
        if tightest is None or applied.remaining_pico < tightest.remaining_pico:
            tightest = applied
    reason, message = _outcome(tightest, estimated_pico or 0)
    decision = Decision(
        allow=reason in ("no_budget", "within_limit"),
        reason=reason,
        message=message,
        remaining_usd=None,
        budget_id=None,
        budget_name=None,
        limit_name=None,
        limit_usd=None,
        spent_usd=None,
        estimated_usd=None if estimated_pico is None else usd_text(estimated_pico),
        group={},
        tier=None,
        period_end=None,
        incomplete=list(incomplete),
        as_of=None if as_of_us is None else iso(as_of_us),
        staleness_s=None if as_of_us is None else max(0.0, round((now_us - as_of_us) / 1e6, 3)),
    )
    if tightest is not None:
        _describe(decision, tightest, now_us)
    return decision


def _applied_limit(
    call: Call, rule: LimitRule, states: SpentStates, mapped_tier: str, now_us: int
) -> tuple[_AppliedLimit | None, bool]:
    """Return a limit with its spend, and whether the spend is completely known.

    The limit is None if it does not apply to the group.
    """
    limit = rule.limit
    group = {name: call.values[name] for name in rule.budget.group_by}
    state = states.of_rule(rule.id, limit.period, group_text(group), now_us)
    stated_tier = call.values.get(STATED_TIER, "") or ("" if state is None else state.trace_tier)
    tier, limit_pico = limit_of_group(limit, group.get(USER, ""), mapped_tier, stated_tier)
    if not limit_pico:
        return None, True
    is_complete = states.is_complete(rule.id, limit.period, rule.budget.time_zone, now_us)
    spent_pico, end_us = 0, 0
    if state is not None and now_us < state.end_us:
        spent_pico, end_us = state.spent_pico, state.end_us
        is_complete = is_complete or not state.incomplete
    is_complete = is_complete and not states.is_partial(rule.id)
    return _AppliedLimit(rule, group, tier, limit_pico, spent_pico, end_us), is_complete


def _outcome(tightest: _AppliedLimit | None, estimated_pico: int) -> tuple[Reason, str]:
    """Return the reason and its description.

    A limit that is exactly reached allows nothing more. An estimate may use up the rest exactly.
    """
    if tightest is None:
        return "no_budget", "no budget applies to this call"
    name = f"budget {tightest.rule.budget.name[:100]!r}"
    remaining_pico = tightest.remaining_pico
    if remaining_pico <= 0:
        spent, limit = usd_text(tightest.spent_pico), usd_text(tightest.limit_pico)
        return "limit_reached", f"{name}: {spent} of {limit} USD are spent"
    remaining = usd_text(remaining_pico)
    if estimated_pico > remaining_pico:
        estimated = usd_text(estimated_pico)
        return (
            "estimate_exceeds_limit",
            f"{name}: {remaining} USD remain, and the estimate is {estimated} USD",
        )
    return "within_limit", f"{name}: {remaining} USD remain"


def _describe(decision: Decision, tightest: _AppliedLimit, now_us: int) -> None:
    rule = tightest.rule
    budget, period = rule.budget, rule.limit.period
    decision.remaining_usd = usd_text(tightest.remaining_pico)
    decision.budget_id = budget.id
    decision.budget_name = budget.name
    decision.limit_name = rule.limit.name or None
    decision.limit_usd = usd_text(tightest.limit_pico)
    decision.spent_usd = usd_text(tightest.spent_pico)
    decision.group = tightest.group
    decision.tier = tightest.tier or None
    end_us = tightest.end_us or period_bounds(period, budget.time_zone, now_us)[1]
    if end_us < FOREVER_US:
        decision.period_end = iso(end_us)
