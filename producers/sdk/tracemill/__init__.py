"""tracemill's SDK: the event contract, and a tracer that writes to Kafka directly."""

from tracemill.budgets import BudgetDecision, BudgetExceeded, BudgetStats
from tracemill.delivery import Stats
from tracemill.span import Span, Trace
from tracemill.tracer import Tracer
from tracemill.usage import Usage

__all__ = [
    "BudgetDecision",
    "BudgetExceeded",
    "BudgetStats",
    "Span",
    "Stats",
    "Trace",
    "Tracer",
    "Usage",
]
