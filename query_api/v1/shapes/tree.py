"""Define the call trees of ``/v1/traces/{id}/tree``; amounts are decimal strings, times in ms."""

from __future__ import annotations

import msgspec

from query_api import metrics
from query_api.money import usd_text
from query_api.store.rows import StoredTrace
from query_api.times import MILLISECOND_US, iso, iso_or_none
from query_api.usage import differing_cost_pico, usage_role
from query_api.v1.call_tree import CallTree, Node


class TreeNode(msgspec.Struct, kw_only=True, gc=False):
    """An observation with its descendants; the root is the trace itself (``id`` is null)."""

    id: str | None
    parent_id: str | None
    type: str
    name: str
    level: str
    status_message: str | None
    model: str | None
    start_time: str
    end_time: str | None
    latency_ms: float | None
    self_latency_ms: float
    """Duration without the times in which a child was running."""
    cost_source: str
    """``given``, ``computed``, ``unpriced`` (no known price) or ``none`` (no usage)."""
    computed_cost_usd: str | None
    """Cost by the price list, if it differs by more than 10 % from the given one, which counts."""
    usage_estimated: bool
    """Whether the tokens, and thus the computed cost, were estimated from the texts."""
    usage_uncertain: str | None
    """What does not add up in the reported usage; null if everything does."""
    unpriced_usage: tuple[str, ...]
    """Usage types that the cost does not include, because they have no price."""
    service_tier: str | None
    usage_role: str | None
    """``summary`` if the totals count the usage of the observation's descendants instead of its
    own; else null."""
    self_cost_usd: str
    total_cost_usd: str
    self_tokens: dict[str, int]
    total_tokens: dict[str, int]
    observation_count: int
    error_count: int
    unpriced_count: int
    """Number of observations without a known price; the total cost does not include them."""
    on_critical_path: bool
    orphan: bool
    """Whether its parent is not in the trace, or its ancestors form a cycle."""
    hidden_children: int
    """Number of children that were omitted to limit the depth; the totals include them."""
    children: list[TreeNode]


class PathSegment(msgspec.Struct, kw_only=True, gc=False):
    """The observation that the trace waited for during an interval (null if none was running)."""

    observation_id: str | None
    name: str
    start_time: str
    duration_ms: float


class TreeOut(msgspec.Struct, kw_only=True):
    trace_id: str
    name: str | None
    start_time: str
    latency_ms: float
    total_cost_usd: str
    observation_count: int
    """Number of observations in the whole trace."""
    unpriced_count: int
    truncated: bool
    """Whether the tree omits observations, because there are too many or they are too deep."""
    root: TreeNode
    critical_path: list[PathSegment]


def tree_out(trace: StoredTrace, tree: CallTree, *, truncated: bool, depth_max: int) -> TreeOut:
    root, hidden = _nested(trace, tree.root, depth_max)
    if hidden:
        metrics.LIMITS_REACHED.labels("tree_depth_max").inc()
    path = [
        PathSegment(
            observation_id=segment.node.row.id if segment.node.row else None,
            name=segment.node.row.name if segment.node.row else "",
            start_time=iso(segment.start_us),
            duration_ms=(segment.end_us - segment.start_us) / MILLISECOND_US,
        )
        for segment in tree.critical_path
    ]
    return TreeOut(
        trace_id=trace.id,
        name=trace.name or None,
        start_time=iso(trace.start_us),
        latency_ms=max(0, trace.end_us - trace.start_us) / MILLISECOND_US,
        total_cost_usd=usd_text(trace.total_cost_pico),
        observation_count=trace.observation_count,
        unpriced_count=trace.unpriced_count,
        truncated=truncated or hidden,
        root=root,
        critical_path=path,
    )


def _nested(trace: StoredTrace, root: Node, depth_max: int) -> tuple[TreeNode, bool]:
    """Return the tree down to ``depth_max``, and whether deeper nodes were omitted."""
    top = _shown(trace, root)
    hidden = False
    waiting = [(root, top)]
    while waiting:
        node, shown = waiting.pop()
        if node.depth >= depth_max:
            shown.hidden_children = len(node.children)
            hidden = hidden or bool(node.children)
            continue
        shown.children = [_shown(trace, child) for child in node.children]
        waiting.extend(zip(node.children, shown.children, strict=True))
    return top, hidden


def _shown(trace: StoredTrace, node: Node) -> TreeNode:
    row = node.row
    differing = differing_cost_pico(row) if row else None
    ended_us = node.end_us if row is None else row.end_us
    return TreeNode(
        id=row.id if row else None,
        parent_id=(row.parent_id or None) if row else None,
        type=row.type if row else "TRACE",
        name=row.name if row else trace.name,
        level=row.level if row else trace.level,
        status_message=(row.status_message or None) if row else None,
        model=(row.model or None) if row else None,
        start_time=iso(node.start_us),
        end_time=iso_or_none(ended_us),
        latency_ms=(node.end_us - node.start_us) / MILLISECOND_US if ended_us else None,
        self_latency_ms=node.self_us / MILLISECOND_US,
        cost_source=row.cost_source if row else "none",
        computed_cost_usd=None if differing is None else usd_text(differing),
        usage_estimated=bool(row and row.usage_estimated),
        usage_uncertain=(row.usage_uncertain or None) if row else None,
        unpriced_usage=row.unpriced_usage if row else (),
        service_tier=(row.service_tier or None) if row else None,
        usage_role=usage_role(row) if row else None,
        self_cost_usd=usd_text(row.total_cost_pico if row else 0),
        total_cost_usd=usd_text(node.total_cost_pico),
        self_tokens=node.usage,
        total_tokens=node.total_usage,
        observation_count=node.observation_count,
        error_count=node.error_count,
        unpriced_count=node.unpriced_count,
        on_critical_path=node.critical,
        orphan=node.orphan,
        hidden_children=0,
        children=[],
    )
