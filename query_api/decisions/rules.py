"""Index the limits of budgets by scope, so that a decision looks up only those that apply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from producers.control.kinds.budget import Budget, BudgetLimit
from query_api.decisions.call import Call


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A limit of a budget.

    Attributes:
        budget: the budget.
        limit: the limit; its name is empty if the budget has only one.
    """

    budget: Budget
    limit: BudgetLimit

    @property
    def id(self) -> tuple[str, str]:
        """Return the budget and the name of the limit, which identify states."""
        return self.budget.id, self.limit.name


Shape = tuple[str, ...]
"""Names of the dimensions of a scope, sorted."""


class RuleIndex:
    """The limits of a project's budgets, by the shape and then by the values of their scopes."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self._of_shape: dict[Shape, dict[tuple[str, ...], list[LimitRule]]] = {}
        for budget in sorted(budgets, key=lambda each: each.position):
            for rule in _rules_of(budget):
                shape = tuple(sorted(budget.scope))
                values = tuple(budget.scope[name] for name in shape)
                self._of_shape.setdefault(shape, {}).setdefault(values, []).append(rule)

    def matching(self, call: Call) -> Iterator[LimitRule]:
        """Yield the limits whose scope includes a call."""
        for shape, of_values in self._of_shape.items():
            for values in product(*map(call.alternatives, shape)):
                yield from of_values.get(values, ())


def _rules_of(budget: Budget) -> Iterator[LimitRule]:
    for limit in budget.all_limits():
        yield LimitRule(budget, limit)
