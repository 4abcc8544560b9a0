"""Keep what decisions depend on: budgets, tiers, spend, and how current the spend is."""

from __future__ import annotations

from producers.control.kinds.budget import USER, Budget
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.tiers.book import TierBook
from query_api.decisions.call import Call
from query_api.decisions.decision import Decision, decide
from query_api.decisions.freshness import Freshness
from query_api.decisions.rules import RuleIndex
from query_api.decisions.states import SpentStates
from tracemill.partitioning import partition_of


class DecisionBook:
    """Everything that decisions need, in memory.

    Attributes:
        states: the spend of groups.
        freshness: how current the spend is, by partition of ``budget-states``.
        is_ready: whether all existing states have been read.
    """

    def __init__(
        self, control: ControlLog, tiers: TierBook, *, partitions: int, states_max: int
    ) -> None:
        self.states = SpentStates(states_max)
        self.freshness = [Freshness() for _ in range(partitions)]
        self.is_ready = False
        self._control = control
        self._tiers = tiers
        self._rules: dict[str, RuleIndex] = {}
        self._project_of: dict[str, str] = {}
        control.subscribe(self._control_changed)

    def decide(
        self, project_id: str, call: Call, estimated_pico: int | None, now_us: int
    ) -> Decision:
        """Return whether a call of a project may be made."""
        rules = self._rules.get(project_id)
        if rules is None:
            budgets = self._control.view.in_project(Budget, project_id)
            rules = self._rules[project_id] = RuleIndex(budgets.values())
        partition = partition_of(project_id, "", len(self.freshness))
        return decide(
            call,
            estimated_pico,
            rules.matching(call),
            self.states,
            self._tiers.tier_of(project_id, call.values[USER]),
            now_us,
            self.freshness[partition].as_of_us,
        )

    async def sweep(self, now_us: int) -> None:
        """Remove states that no decision needs any more."""
        await self.states.sweep(self._control.view[Budget].keys(), now_us)

    def _control_changed(self, change: Change) -> None:
        if change.kind != Budget.kind:
            return
        if isinstance(change, Budget):
            self._project_of[change.id] = change.project_id
            self._rules.pop(change.project_id, None)
            return
        project_id = self._project_of.pop(change.id, None)
        if project_id is not None:
            self._rules.pop(project_id, None)
        self.states.remove_budget(change.id)
