"""Find the observations of a trace that repeat the usage of their descendants.

A *summary* is an observation whose tokens equal the sum over its descendants, or one that
aggregates by its type (agent, chain, span). It counts what its descendants do not. An estimate
counts only if no descendant reports usage. Amounts are computed from the leaves to the root, so
they depend on the tree alone, not on the order in which it was built.

Source of the rule: instrumentations nest (agent frameworks around SDKs of providers), and the
outer span repeats the usage of the inner calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

DEPTH_MAX: Final = 500
"""Levels between a root and an observation with usage. In a deeper tree, or one whose parents form
a cycle, every observation counts what it reports."""


class Amounts(NamedTuple):
    """Tokens by side and picodollars of one observation, or of several together."""

    input: int = 0
    output: int = 0
    cost_pico: int = 0

    def plus(self, other: Amounts, sign: int = 1) -> Amounts:
        return Amounts(
            self.input + sign * other.input,
            self.output + sign * other.output,
            self.cost_pico + sign * other.cost_pico,
        )

    def less(self, other: Amounts) -> Amounts:
        """Return what exceeds ``other``, nothing if no tokens do."""
        if self.input <= other.input and self.output <= other.output and self.has_tokens:
            return NOTHING
        return Amounts(
            max(self.input - other.input, 0),
            max(self.output - other.output, 0),
            max(self.cost_pico - other.cost_pico, 0),
        )

    @property
    def has_tokens(self) -> bool:
        return self.input > 0 or self.output > 0


NOTHING: Final = Amounts()


class Reported(NamedTuple):
    """Amounts that an observation reports itself."""

    amounts: Amounts
    model: str = ""
    aggregates: bool = False
    """Whether observations of its type report sums over their descendants."""
    estimated: bool = False
    """Whether its tokens were estimated from texts."""


class _Node(msgspec.Struct, gc=False):
    """An observation, or a placeholder for a parent that has not arrived."""

    is_there: bool = False
    parent_id: str = ""
    reported: Reported | None = None
    counted: Amounts = NOTHING
    below: Amounts = NOTHING
    """Sum of ``counted`` over its descendants."""
    reporting: int = 0
    """Descendants that report usage rather than have it estimated."""
    models: dict[str, int] = {}
    """Descendants with usage by model."""
    height: int = 0
    """Levels between it and its farthest descendant with usage."""


class _Step(msgspec.Struct, gc=False):
    """Change of a subtree, to be added to all ancestors."""

    amounts: Amounts
    reporting: int
    models: dict[str, int]


class SummaryTree:
    """Amounts that the observations of one trace count.

    Observations are added, or change what they report. When one is removed or gets another parent,
    the tree is built again.
    """

    __slots__ = ("_nodes", "tangled")

    def __init__(self, observations: Iterable[tuple[str, str, Reported | None]] = ()) -> None:
        """Build the tree of (id, parent id, amounts or ``None``)."""
        self._nodes: dict[str, _Node] = {}
        self.tangled = False
        """Whether the tree is too deep or has a cycle, so that nothing is a summary."""
        for observation_id, parent_id, reported in observations:
            self.put(observation_id, parent_id, reported)

    def counted(self, observation_id: str) -> Amounts:
        """Return what an observation counts."""
        node = self._nodes.get(observation_id)
        if node is None or node.reported is None:
            return NOTHING
        return node.reported.amounts if self.tangled else node.counted

    def put(
        self, observation_id: str, parent_id: str, reported: Reported | None
    ) -> list[str] | None:
        """Add an observation, or change what it reports.

        Returns:
            Ids of the observations that may count something else now; ``None`` for all, if the
            tree has become tangled.

        Raises:
            ValueError: The observation had another parent, or had usage and has none now.
        """
        node = self._nodes.get(observation_id)
        if node is None:
            node = self._nodes[observation_id] = _Node()
        elif node.is_there and (
            node.parent_id != parent_id or (node.reported is not None and reported is None)
        ):
            raise ValueError(f"the tree has to be built again for {observation_id}")
        step = _Step(NOTHING, 0, {}) if node.is_there else _subtree(node)
        if node.is_there and node.reported is not None:
            _count(step, node.reported, node.counted, -1)
        node.is_there, node.parent_id, node.reported = True, parent_id, reported
        node.counted = _counted(node)
        if reported is not None:
            _count(step, reported, node.counted, 1)
        changed = [observation_id]
        is_tangled = self.tangled or not self._lift(node, observation_id, step, changed)
        if is_tangled and not self.tangled:
            self.tangled = True
            return None
        return changed

    def _lift(self, node: _Node, observation_id: str, step: _Step, changed: list[str]) -> bool:
        """Add a change to all ancestors; return whether the tree is a tree, and not too deep."""
        if step.amounts == NOTHING and not step.models and not step.reporting:
            return True
        height, parent_id = node.height, node.parent_id
        while parent_id:
            height += 1
            if parent_id == observation_id or height > DEPTH_MAX:
                return False
            parent = self._nodes.get(parent_id)
            if parent is None:
                parent = self._nodes[parent_id] = _Node()
            parent.below = parent.below.plus(step.amounts)
            parent.reporting += step.reporting
            parent.models = _sum_of(parent.models, step.models)
            parent.height = height = max(parent.height, height)
            before, parent.counted = parent.counted, _counted(parent)
            if parent.counted != before:
                changed.append(parent_id)
                step.amounts = step.amounts.plus(parent.counted).plus(before, -1)
            parent_id = parent.parent_id
        return True


def _subtree(node: _Node) -> _Step:
    """Return what is below a node that had not been there."""
    return _Step(node.below, node.reporting, dict(node.models))


def _count(step: _Step, reported: Reported, counted: Amounts, sign: int) -> None:
    step.amounts = step.amounts.plus(counted, sign)
    if not reported.estimated:
        step.reporting += sign
    step.models = _sum_of(step.models, {reported.model: sign})


def _sum_of(models: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    if not more:
        return models
    counts = {model: models.get(model, 0) + more.get(model, 0) for model in models | more}
    return {model: count for model, count in counts.items() if count}


def _counted(node: _Node) -> Amounts:
    """Return what a node counts beside its descendants."""
    reported = node.reported
    if reported is None:
        return NOTHING
    if not node.models:
        return reported.amounts
    if reported.estimated and node.reporting:
        return NOTHING
    if reported.aggregates or (not node.reporting and _has_model_of(node, reported)):
        return reported.amounts.less(node.below)
    return NOTHING if _repeats(reported, node) else reported.amounts


def _repeats(reported: Reported, node: _Node) -> bool:
    """Return whether an observation reports exactly what its descendants count.

    A sole count may be the total of both sides. The model or the cost has to be the same, too.
    """
    amounts, below = reported.amounts, node.below
    is_same_cost = 0 < amounts.cost_pico == below.cost_pico
    if not amounts.has_tokens:
        return is_same_cost
    sides = below.input, below.output
    if (amounts.input, amounts.output) not in (sides, (sum(sides), 0)):
        return False
    return is_same_cost or _has_model_of(node, reported)


def _has_model_of(node: _Node, reported: Reported) -> bool:
    return not reported.model or any(_alike(reported.model, model) for model in node.models)


def _alike(model: str, other: str) -> bool:
    """Return whether names may mean one model: ``gpt-4o``, ``openai/gpt-4o-2024-08-06``."""
    if not other:
        return True
    short, long = sorted((_bare(model), _bare(other)), key=len)
    return long.startswith(short)


def _bare(model: str) -> str:
    return model.rpartition("/")[2].rpartition(":")[2].lower()
