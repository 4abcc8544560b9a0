"""Define the evaluator of budgets."""

from __future__ import annotations

from typing import Final

from clickhouse.feeds.budget_states import FEED
from streams.core.alerting.evaluator import EvaluatorKind
from streams.core.budgets.book import BudgetBook

EVALUATOR: Final = EvaluatorKind("budgets", FEED.topic, BudgetBook)
