"""Define the evaluator of alert rules."""

from __future__ import annotations

from typing import Final

from clickhouse.feeds.alert_states import FEED
from streams.core.alerting.evaluator import EvaluatorKind
from streams.core.alerting.rules.book import RuleBook

EVALUATOR: Final = EvaluatorKind("rules", FEED.topic, RuleBook)
