"""Define the rows of the states of alert rules and budgets, which the alerting stage writes.

The formats are those of ``clickhouse.rows``.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec


class AlertStateRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The state of a group of an alert rule. Key: project, rule, group.

    The key of its record is ``rule_id/`` and a hash of the group.
    """

    project_id: str
    rule_id: str
    group: str
    """JSON object of the group's dimensions and values, sorted by name, without spaces; ``{}`` if
    the rule has no ``group_by``."""
    state: str
    """``inactive``, ``pending``, ``firing``, ``recovering``, ``resolved``, ``no_data`` or
    ``error``."""
    is_deleted: int = 0
    rule_version: int = 0
    severity: str = ""
    labels: dict[str, str] = {}
    """Labels of the rule, and the values of the group."""
    episode_id: str = ""
    """Id of the current or last episode; empty if there was none."""
    sequence: int = 0
    """Number of alerts of the episode so far."""
    started_us: int = 0
    """Start of the episode, in event time."""
    since_us: int = 0
    """Time of the last change of ``state``, in event time."""
    value: Decimal | None = None
    """The last evaluated value, in the unit of the metric."""
    threshold: Decimal | None = None
    window_start_us: int = 0
    window_end_us: int = 0
    """End of the evaluated window, exclusive."""
    silenced: int = 0
    """Whether a silence, an inhibition or the mode ``shadow`` suppresses notifications."""
    suppressed_by: str = ""
    """What suppresses them: the id of a silence or rule, or ``shadow``."""
    acknowledged_by: str = ""
    exemplars: tuple[str, ...] = ()
    """Ids of the latest traces that contributed to the value."""
    incomplete: int = 0
    """Whether data of the window may be missing."""
    complete_since_us: int = 0
    """Time from which the data are complete, if ``incomplete`` is set; 0 if not known yet."""
    reason: str = ""
    """Why the state was entered, as text; the error in the state ``error``."""
    notified_us: int = 0
    """Time of the last notification; 0 if there was none."""
    input_offset: int = -1
    """Offset of the last record of ``deltas`` that the row contains."""
    updated_us: int
    row_version: int


class BudgetStateRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The state of a group of a budget limit in one period; a record of ``budget-states`` has one.

    Key: project, budget, limit, period start, group. The key of its record is
    ``streams.core.budgets.states.state_key``.
    """

    project_id: str
    budget_id: str
    limit_name: str = ""
    """Empty if the budget has a single limit."""
    period: str
    """``hour``, ``day``, ``week``, ``month``, ``total``, or ``rolling_`` with a number of hours or
    days, such as ``rolling_24h``."""
    period_start_us: int
    """0 for a rolling period and for ``total``, which have one state."""
    period_end_us: int
    """End, exclusive; ``producers.control.periods.FOREVER_US`` if there is none."""
    group: str
    """JSON object of the group's dimensions and values, sorted by name, without spaces; ``{}`` if
    the budget has no ``group_by``. Empty for the row that describes the evaluation of the whole
    limit."""
    tier: str = ""
    """Tier whose limit applies; empty if the limit has no tiers."""
    spent_pico: int = 0
    limit_pico: int = 0
    """0: no limit applies to the group."""
    crossed: tuple[str, ...] = ()
    """Thresholds that the spend has reached, as decimal strings, ascending."""
    incomplete: int = 0
    """Whether spend from before the evaluation began may be missing, so that ``spent_pico`` is a
    lower bound. In the row of the whole limit: whether events wait, which all groups may lack."""
    trace_id: str = ""
    """Trace of the last change."""
    evaluation: str = ""
    """JSON of what the evaluation continues from after a restart."""
    input_offset: int = -1
    """Offset of the last record of ``deltas`` that the row contains."""
    updated_us: int
    row_version: int
