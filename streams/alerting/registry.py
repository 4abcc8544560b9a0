"""Register the kinds of evaluators: each module of ``streams.alerting.evaluators`` defines one."""

from __future__ import annotations

from typing import Final

from producers.registration import ByName, modules_in
from streams.alerting import evaluators
from streams.core.alerting.evaluator import EvaluatorKind


class EvaluatorKinds(ByName[EvaluatorKind]):
    """Kinds of evaluators by name."""

    def __init__(self, *kinds: EvaluatorKind) -> None:
        """Register kinds.

        Raises:
            ValueError: two kinds have the same name.
        """
        super().__init__("evaluators", ((each.name, each) for each in kinds))


EVALUATORS: Final = EvaluatorKinds(*(module.EVALUATOR for module in modules_in(evaluators)))
"""All kinds of evaluators."""
