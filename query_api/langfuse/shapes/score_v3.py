"""Define scores of ``/api/public/v3/scores``, with a value of the data type and field groups."""

from __future__ import annotations

from typing import Final

import msgspec

from query_api.json_texts import members
from query_api.store.rows import StoredScore
from query_api.times import iso

GROUPS: Final = ("details", "subject", "annotation")

_UNSET: Final = msgspec.UNSET
_Unset = msgspec.UnsetType


class ScoreSubject(msgspec.Struct, rename="camel", gc=False):
    """The subject of a score; ``kind`` is trace, observation, session or experiment."""

    kind: str
    id: str
    trace_id: str | _Unset | None = _UNSET


class ScoreV3(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """A score; ``value`` is a number, a boolean, or a text (category, text or correction)."""

    id: str
    project_id: str
    name: str
    source: str
    data_type: str
    value: float | bool | str
    timestamp: str
    environment: str
    created_at: str
    updated_at: str
    comment: str | _Unset | None = _UNSET
    config_id: str | _Unset | None = _UNSET
    metadata: dict[str, msgspec.Raw] | _Unset = _UNSET
    author_user_id: str | _Unset | None = _UNSET
    queue_id: str | _Unset | None = _UNSET
    subject: ScoreSubject | _Unset | None = _UNSET


def score_v3(row: StoredScore, groups: frozenset[str]) -> ScoreV3:
    stored_at = iso(row.inserted_ms * 1000)
    shown = ScoreV3(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        source=row.source,
        data_type=row.data_type,
        value=_value(row),
        timestamp=iso(row.event_us),
        environment=row.environment,
        created_at=stored_at,
        updated_at=stored_at,
    )
    if "details" in groups:
        shown.comment = row.comment or None
        shown.config_id = row.config_id or None
        shown.metadata = members(row.metadata)
    if "subject" in groups:
        shown.subject = _subject(row)
    if "annotation" in groups:
        shown.author_user_id = row.author_user_id or None
        shown.queue_id = row.queue_id or None
    return shown


def _value(row: StoredScore) -> float | bool | str:
    if row.data_type == "BOOLEAN":
        return bool(row.value)
    return row.value or 0.0 if row.data_type == "NUMERIC" else row.string_value


def _subject(row: StoredScore) -> ScoreSubject | None:
    if row.observation_id:
        return ScoreSubject("observation", row.observation_id, row.trace_id or None)
    for kind, subject_id in (
        ("trace", row.trace_id),
        ("session", row.session_id),
        ("experiment", row.dataset_run_id),
    ):
        if subject_id:
            return ScoreSubject(kind, subject_id)
    return None
