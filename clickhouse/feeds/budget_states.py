"""Define the feed of the states of budgets, which the alerting stage writes."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import BudgetStateRow
from producers.kafka.topics import Cleanup, Partitions, Topic

FEED: Final = Feed(
    table="budget_states",
    row=BudgetStateRow,
    topic=Topic("budget-states", Partitions.BY_PROJECT, Cleanup.COMPACT),
    is_state=True,
)
