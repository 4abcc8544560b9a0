"""Define traces of ``/api/public/traces``: with ids in lists, with observations in details."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from query_api.json_texts import Shown, members, shown
from query_api.langfuse.shapes.observation_v1 import ObservationV1
from query_api.langfuse.shapes.score import ScoreOut
from query_api.money import usd_number
from query_api.pages import PageMeta
from query_api.store.rows import StoredTrace
from query_api.times import SECOND_US, iso

GROUPS: Final = ("core", "io", "scores", "observations", "metrics")
NOT_REQUESTED: Final = -1.0
"""Value of costs and latencies that were not requested, as in the Langfuse API."""


class TraceOut(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """A trace. The latency is in seconds, and the cost is US dollars as a JSON number."""

    id: str
    project_id: str
    timestamp: str
    name: str | None
    user_id: str | None
    session_id: str | None
    release: str | None
    version: str | None
    environment: str
    external_id: str | None
    public: bool
    bookmarked: bool
    tags: list[str]
    level: str
    input: Shown
    output: Shown
    metadata: dict[str, msgspec.Raw]
    created_at: str
    updated_at: str
    html_path: str
    latency: float
    total_cost: float


class TraceInList(TraceOut, kw_only=True, gc=False):
    observations: list[str]
    scores: list[str]
    truncated: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Names of the lists that contain only the first ids; absent if both are complete."""


class TraceInDetail(TraceOut, kw_only=True, gc=False):
    observations: list[ObservationV1]
    scores: list[ScoreOut]


class TraceList(msgspec.Struct):
    data: list[TraceInList]
    meta: PageMeta


def trace_out(row: StoredTrace) -> TraceOut:
    """Return a trace with its input, output and metrics, without observations and scores."""
    return TraceOut(**_common(row, frozenset(GROUPS)))


def trace_in_list(
    row: StoredTrace,
    groups: frozenset[str],
    observations: list[str],
    scores: list[str],
    ids_max: int,
) -> TraceInList:
    """Return a trace with at most ``ids_max`` ids of observations and of scores each."""
    named = {"observations": observations, "scores": scores}
    truncated = [name for name, ids in named.items() if len(ids) > ids_max]
    return TraceInList(
        **_common(row, groups),
        observations=observations[:ids_max],
        scores=scores[:ids_max],
        truncated=truncated or msgspec.UNSET,
    )


def trace_in_detail(
    row: StoredTrace,
    groups: frozenset[str],
    observations: list[ObservationV1],
    scores: list[ScoreOut],
) -> TraceInDetail:
    return TraceInDetail(**_common(row, groups), observations=observations, scores=scores)


def _common(row: StoredTrace, groups: frozenset[str]) -> dict[str, Any]:
    stored_at = iso(row.inserted_ms * 1000)
    io, metrics = "io" in groups, "metrics" in groups
    return {
        "id": row.id,
        "project_id": row.project_id,
        "timestamp": iso(row.start_us),
        "name": row.name or None,
        "user_id": row.user_id or None,
        "session_id": row.session_id or None,
        "release": row.release or None,
        "version": row.version or None,
        "environment": row.environment,
        "external_id": row.external_id or None,
        "public": row.public == 1,
        "bookmarked": False,
        "tags": list(row.tags),
        "level": row.level,
        "input": shown(row.input) if io else None,
        "output": shown(row.output) if io else None,
        "metadata": members(row.metadata) if io else {},
        "created_at": stored_at,
        "updated_at": stored_at,
        "html_path": f"/project/{row.project_id}/traces/{row.id}",
        "latency": _latency_s(row) if metrics else NOT_REQUESTED,
        "total_cost": usd_number(row.total_cost_pico) if metrics else NOT_REQUESTED,
    }


def _latency_s(row: StoredTrace) -> float:
    return (row.end_us - row.start_us) / SECOND_US if row.end_us > row.start_us else 0.0
