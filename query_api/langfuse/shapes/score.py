"""Define scores of ``/api/public/scores`` and ``/api/public/v2/scores``."""

from __future__ import annotations

from typing import Final

import msgspec

from query_api.json_texts import members
from query_api.store.rows import StoredScore, StoredTrace
from query_api.times import iso

_UNSET: Final = msgspec.UNSET


class ScoreTrace(msgspec.Struct, rename="camel", gc=False):
    user_id: str | None
    tags: list[str]
    environment: str
    session_id: str | None


class ScoreOut(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """A score; ``value`` is a number, also for booleans (0 or 1), categories and corrections.

    For categories and corrections without a number it is 0, and their text is ``stringValue``. For
    texts it is absent. Clients cannot parse a trace if one of its scores has another form.
    """

    id: str
    project_id: str
    name: str
    timestamp: str
    source: str
    data_type: str
    value: float | msgspec.UnsetType = _UNSET
    string_value: str | None = None
    """None for a numeric score."""
    trace_id: str | None
    observation_id: str | None
    session_id: str | None
    dataset_run_id: str | None
    environment: str
    comment: str | None
    metadata: dict[str, msgspec.Raw]
    config_id: str | None
    queue_id: str | None
    author_user_id: str | None
    created_at: str
    updated_at: str
    trace: ScoreTrace | msgspec.UnsetType | None = _UNSET


def score_out(row: StoredScore) -> ScoreOut:
    stored_at = iso(row.inserted_ms * 1000)
    shown = ScoreOut(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        timestamp=iso(row.event_us),
        source=row.source,
        data_type=row.data_type,
        value=_UNSET if row.data_type == "TEXT" else row.value or 0.0,
        trace_id=row.trace_id or None,
        observation_id=row.observation_id or None,
        session_id=row.session_id or None,
        dataset_run_id=row.dataset_run_id or None,
        environment=row.environment,
        comment=row.comment or None,
        metadata=members(row.metadata),
        config_id=row.config_id or None,
        queue_id=row.queue_id or None,
        author_user_id=row.author_user_id or None,
        created_at=stored_at,
        updated_at=stored_at,
    )
    if row.data_type == "BOOLEAN":
        shown.string_value = row.string_value or ("True" if row.value else "False")
    elif row.data_type != "NUMERIC":
        shown.string_value = row.string_value
    return shown


def score_trace(trace: StoredTrace) -> ScoreTrace:
    return ScoreTrace(
        trace.user_id or None, list(trace.tags), trace.environment, trace.session_id or None
    )
