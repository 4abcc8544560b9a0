"""Read the states of a limit's groups: those in the store, and newer ones in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from query_api.context import AppContext
from query_api.decisions.states import State
from query_api.money import pico_of, usd_text
from query_api.store.queries.budget_states import CountGroups, FindGroups, GroupState, StateTotals

GROUPS_MAX: Final = 1_000
"""Maximum number of groups in a response, and of those whose newer states in memory are used."""


async def read_groups(
    context: AppContext, found: FindGroups, period: str
) -> tuple[list[GroupState], StateTotals | None]:
    """Return the requested states and the totals of all groups.

    States are stored a second after an alert can be received, so those in memory are used as well.

    Raises:
        UnavailableError, TooCostlyError: like ``Reader.rows``.
    """
    counting = CountGroups(
        found.project_id, found.budget_id, found.limit_name, found.period_start_us
    )
    rule_id = (found.budget_id, found.limit_name)
    newer: dict[str, State] | None = None
    if context.decisions is not None:
        states = context.decisions.states
        newer = states.groups_of(rule_id, period, found.period_start_us, GROUPS_MAX)
    if not newer:
        totals, rows = await asyncio.gather(
            context.reader.row(counting, StateTotals), context.reader.rows(found, GroupState)
        )
        return list(rows), totals
    every = replace(found, limit=GROUPS_MAX, group=None)
    totals, rows = await asyncio.gather(
        context.reader.row(counting, StateTotals), context.reader.rows(every, GroupState)
    )
    if totals is not None and totals.groups > GROUPS_MAX:
        return [row for row in rows if found.group in (None, row.group)][: found.limit], totals
    merged = {row.group: row for row in rows}
    for group, state in newer.items():
        stored = merged.get(group)
        if stored is None or stored.updated_us < state.updated_us:
            merged[group] = shown_state(group, state, stored)
    return (
        [row for group, row in merged.items() if found.group in (None, group)],
        StateTotals(
            groups=len(merged),
            spent=usd_text(sum(pico_of(row.spent) for row in merged.values())),
            incomplete=max(row.incomplete for row in merged.values()),
            updated_us=max(row.updated_us for row in merged.values()),
        ),
    )


async def read_single(context: AppContext, found: FindGroups, period: str) -> GroupState | None:
    """Return the state of a limit without groups, from memory if that is newer.

    Raises:
        UnavailableError, TooCostlyError: like ``Reader.rows``.
    """
    stored = await context.reader.row(found, GroupState)
    if context.decisions is None or found.group is None:
        return stored
    newer = context.decisions.states.groups_of(
        (found.budget_id, found.limit_name), period, found.period_start_us, GROUPS_MAX
    )
    state = (newer or {}).get(found.group)
    if state is None or (stored is not None and stored.updated_us >= state.updated_us):
        return stored
    return shown_state(found.group, state, stored)


def shown_state(group: str, state: State, stored: GroupState | None) -> GroupState:
    """Return a state in memory in the form of a stored one."""
    return GroupState(
        group=group,
        tier=state.trace_tier or ("" if stored is None else stored.tier),
        spent=usd_text(state.spent_pico),
        limit_usd="0",
        crossed=list(state.crossed),
        incomplete=int(state.incomplete),
        updated_us=state.updated_us,
    )
