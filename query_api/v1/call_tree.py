"""Build the call tree of a trace and its critical path from its observations, without I/O.

Every observation is in the tree once. The children of the trace are observations without a parent,
orphans (whose parent is not in the trace), and one observation of each cycle of parents. Traversals
are iterative, because trees may be arbitrarily deep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from query_api.store.rows import StoredObservation
from query_api.usage import with_total


@dataclass(slots=True)
class Node:
    """An observation, or the trace itself (``row`` is None). Totals include all descendants."""

    row: StoredObservation | None
    start_us: int
    end_us: int
    orphan: bool = False
    depth: int = 0
    children: list[Node] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)
    total_usage: dict[str, int] = field(default_factory=dict)
    total_cost_pico: int = 0
    observation_count: int = 0
    error_count: int = 0
    unpriced_count: int = 0
    self_us: int = 0
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """An interval, and the node that the trace waited for during it."""

    node: Node
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class CallTree:
    root: Node
    critical_path: list[Segment]
    """Segments in order of time, which cover the whole trace without gaps."""


def call_tree(rows: Iterable[StoredObservation]) -> CallTree:
    """Build the call tree of a trace's observations."""
    nodes = {row.id: _node(row) for row in rows}
    begun = [node.start_us for node in nodes.values()]
    ended = [node.end_us for node in nodes.values()]
    root = Node(None, min(begun, default=0), max(ended, default=0))
    root.children = _children_of_trace(nodes)
    order = _preorder(root)
    for node in reversed(order):
        _total(node)
    return CallTree(root, _critical_path(root))


def _node(row: StoredObservation) -> Node:
    usage = with_total(row.usage)
    return Node(row, row.start_us, max(row.start_us, row.end_us), usage=usage)


def _children_of_trace(nodes: dict[str, Node]) -> list[Node]:
    tops: list[Node] = []
    parent_of: dict[str, Node] = {}
    for identifier, node in nodes.items():
        assert node.row is not None
        parent = nodes.get(node.row.parent_id)
        if parent is None:
            node.orphan = bool(node.row.parent_id) and not node.row.app_root
            tops.append(node)
        else:
            parent_of[identifier] = parent
    for identifier in _cycle_breakers(nodes, parent_of):
        node = nodes[identifier]
        node.orphan = True
        tops.append(node)
        del parent_of[identifier]
    for identifier, parent in parent_of.items():
        parent.children.append(nodes[identifier])
    return tops


def _cycle_breakers(nodes: dict[str, Node], parent_of: dict[str, Node]) -> list[str]:
    """Return the observation that started first in each cycle of parents."""
    breakers: list[str] = []
    walk_of: dict[str, int] = {}
    for number, start in enumerate(nodes):
        walked: list[str] = []
        identifier = start
        while identifier not in walk_of:
            walk_of[identifier] = number
            walked.append(identifier)
            parent = parent_of.get(identifier)
            if parent is None or parent.row is None:
                break
            identifier = parent.row.id
        else:
            if walk_of[identifier] == number:
                cycle = walked[walked.index(identifier) :]
                breakers.append(min(cycle, key=lambda each: (nodes[each].start_us, each)))
    return breakers


def _preorder(root: Node) -> list[Node]:
    """Return the nodes, parents before children and siblings by start; set their depths."""
    order: list[Node] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        order.append(node)
        node.children.sort(key=_by_start)
        for child in reversed(node.children):
            child.depth = node.depth + 1
            waiting.append(child)
    return order


def _by_start(node: Node) -> tuple[int, str]:
    return node.start_us, node.row.id if node.row else ""


def _total(node: Node) -> None:
    """Set the totals of a node; those of its children must already be set.

    A summary, which repeats its descendants, adds only usage that they do not report (``counted``).
    """
    node.total_usage = dict(node.usage)
    if node.row is not None:
        node.total_cost_pico = node.row.total_cost_pico
        if node.row.counted is not None:
            node.total_usage = dict(node.row.counted)
            node.total_cost_pico = node.total_usage.pop("cost_pico", 0)
        node.observation_count = 1
        node.error_count = int(node.row.level == "ERROR")
        node.unpriced_count = int(is_unpriced(node.row))
    for child in node.children:
        node.total_cost_pico += child.total_cost_pico
        node.observation_count += child.observation_count
        node.error_count += child.error_count
        node.unpriced_count += child.unpriced_count
        for name, units in child.total_usage.items():
            node.total_usage[name] = node.total_usage.get(name, 0) + units
    node.self_us = node.end_us - node.start_us - _covered_us(node, node.children)


def is_unpriced(row: StoredObservation) -> bool:
    """Return whether an observation counts usage without a known price."""
    counted = row.counted
    return row.cost_source == "unpriced" and (
        counted is None or any(name != "cost_pico" for name in counted)
    )


def _covered_us(node: Node, children: Sequence[Node]) -> int:
    """Return the time in which at least one child was running; children are sorted by start."""
    covered_us, reached_us = 0, node.start_us
    for child in children:
        start_us = max(child.start_us, reached_us)
        end_us = min(child.end_us, node.end_us)
        if end_us > start_us:
            covered_us += end_us - start_us
            reached_us = end_us
    return covered_us


def _critical_path(root: Node) -> list[Segment]:
    """Return the critical path by the last-finishing-child rule of CRISP.

    At its end, a node had waited for the child that ended last. At the start of that child, it had
    waited for the child that ended last before it, and so on. A child that ends after its parent
    counts only until the parent's end. Source: Zhang et al., USENIX ATC 2022.
    """
    segments: list[Segment] = []
    waiting = [(root, root.start_us, root.end_us)]
    while waiting:
        node, from_us, cursor_us = waiting.pop()
        node.critical = True
        first = True
        for child in sorted(node.children, key=lambda each: (-each.end_us, each.start_us)):
            begun_us, ended_us = max(child.start_us, from_us), min(child.end_us, cursor_us)
            gated = first or child.end_us <= cursor_us
            if not gated or ended_us <= begun_us:
                continue
            first = False
            if ended_us < cursor_us:
                segments.append(Segment(node, ended_us, cursor_us))
            waiting.append((child, begun_us, ended_us))
            cursor_us = begun_us
        if cursor_us > from_us:
            segments.append(Segment(node, from_us, cursor_us))
    segments.sort(key=lambda segment: segment.start_us)
    return segments
