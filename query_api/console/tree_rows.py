"""Flatten the call tree of a trace to rows for its page, parents before children."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from query_api.usage import with_total
from query_api.v1.call_tree import CallTree, Node


class TreeRow(msgspec.Struct, array_like=True, gc=False):
    """An observation. Times are in microseconds, and starts are since the start of the trace.

    Scripts read the fields by position.
    """

    id: str
    depth: int
    descendants: int
    name: str
    type: str
    level: str
    model: str
    start_us: int
    duration_us: int | None
    """None: the observation has not ended."""
    self_us: int
    """Duration without the times when its children ran."""
    ttft_us: int | None
    """Time to the first token."""
    cost_pico: int
    """Cost with all descendants."""
    tokens: int
    """Tokens with all descendants."""
    is_critical: bool
    errors: int
    """Errors of the observation and its descendants."""
    unpriced: int
    """Calls without a price among them, which the cost does not include."""


class TreeRows(msgspec.Struct):
    """The observations of a trace; ``length_us`` is its duration."""

    length_us: int
    truncated: bool
    """Whether the trace has more observations."""
    rows: list[TreeRow]


def tree_rows(tree: CallTree, *, truncated: bool) -> TreeRows:
    """Return the observations of a tree, parents before children."""
    root = tree.root
    rows = [_row(node, root.start_us) for node in _in_order(root)]
    return TreeRows(root.end_us - root.start_us, truncated, rows)


def _in_order(root: Node) -> Iterator[Node]:
    waiting = list(reversed(root.children))
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def _row(node: Node, start_us: int) -> TreeRow:
    row = node.row
    assert row is not None  # only the trace itself has none
    first_us = row.completion_start_us
    has_first = row.start_us <= first_us <= node.end_us if row.end_us else first_us > row.start_us
    return TreeRow(
        row.id,
        node.depth - 1,
        node.observation_count - 1,
        row.name,
        row.type,
        row.level,
        row.model,
        node.start_us - start_us,
        node.end_us - node.start_us if row.end_us else None,
        node.self_us,
        first_us - row.start_us if has_first else None,
        node.total_cost_pico,
        with_total(node.total_usage).get("total", 0),
        node.critical,
        node.error_count,
        node.unpriced_count,
    )
