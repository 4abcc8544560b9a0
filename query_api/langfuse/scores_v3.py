"""Serve ``/api/public/v3/scores``: scores in pages by cursor, filtered by comma-separated lists."""

from __future__ import annotations

from typing import Annotated, Final, get_args

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from query_api import cursors
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError
from query_api.langfuse.parameters import (
    CommaSeparated,
    ConditionList,
    LangfuseParameters,
    Text,
    chosen_groups,
    chosen_values,
    parts_of,
)
from query_api.langfuse.shapes.score_v3 import GROUPS, ScoreV3, score_v3
from query_api.numbers import Number, Whole, finite
from query_api.openapi.langfuse_examples import SCORE_V3_LIST_EXAMPLE
from query_api.pages import LimitedCursorMeta
from query_api.responses import json_response
from query_api.store.columns import SCORE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.scores import FindScores
from query_api.store.rows import StoredScore
from query_api.times import Instant, InstantUs
from tracemill.contract import ScoreDataType, ScoreSource

_DATA_TYPES: Final[tuple[str, ...]] = get_args(ScoreDataType)
_SOURCES: Final[tuple[str, ...]] = get_args(ScoreSource)
_FLAGS: Final = {"true": "1", "false": "0"}


class ScoreV3List(msgspec.Struct):
    data: list[ScoreV3]
    meta: LimitedCursorMeta


class _Cursor(msgspec.Struct, rename="camel"):
    last_timestamp_us: InstantUs
    last_id: str


class ScoreV3ListParameters(LangfuseParameters):
    limit: Whole = Field(50, ge=1, le=100)
    cursor: cursors.CursorText | None = Field(
        None, description="`meta.cursor` of the previous page."
    )
    fields: Text | None = Field(
        None,
        description="Groups of fields in addition to the core: details (comment, configId,"
        " metadata), subject, annotation (authorUserId, queueId).",
        examples=["details,subject"],
    )
    id: CommaSeparated | None = None
    name: CommaSeparated | None = None
    source: CommaSeparated | None = Field(None, examples=["API,EVAL"])
    data_type: CommaSeparated | None = Field(None, examples=["NUMERIC"])
    environment: CommaSeparated | None = None
    config_id: CommaSeparated | None = None
    queue_id: CommaSeparated | None = None
    author_user_id: CommaSeparated | None = None
    value: CommaSeparated | None = Field(
        None, description="Exact values; requires one `dataType`: NUMERIC, BOOLEAN or CATEGORICAL."
    )
    value_min: Number | None = Field(None, description="Minimum; requires the `dataType` NUMERIC.")
    value_max: Number | None = Field(None, description="Maximum; requires the `dataType` NUMERIC.")
    trace_id: CommaSeparated | None = None
    session_id: CommaSeparated | None = None
    observation_id: CommaSeparated | None = Field(None, description="Requires `traceId`.")
    experiment_id: CommaSeparated | None = None
    from_timestamp: Instant | None = None
    to_timestamp: Instant | None = None

    def conditions(self) -> tuple[Condition, ...]:
        self._refuse_subjects_together()
        types = self._types()
        conditions = ConditionList(SCORE_COLUMNS, None)
        conditions.add("id", "in", parts_of(self.id))
        conditions.add("name", "in", parts_of(self.name))
        conditions.add("source", "in", chosen_values("source", self.source, _SOURCES))
        conditions.add("dataType", "in", types)
        conditions.add("environment", "in", parts_of(self.environment))
        conditions.add("configId", "in", parts_of(self.config_id))
        conditions.add("queueId", "in", parts_of(self.queue_id))
        conditions.add("authorUserId", "in", parts_of(self.author_user_id))
        conditions.add("traceId", "in", parts_of(self.trace_id))
        conditions.add("sessionId", "in", parts_of(self.session_id))
        conditions.add("observationId", "in", parts_of(self.observation_id))
        conditions.add("datasetRunId", "in", parts_of(self.experiment_id))
        conditions.add("timestamp", "ge", self.from_timestamp)
        conditions.add("timestamp", "lt", self.to_timestamp)
        self._add_values(conditions, types)
        return conditions.done()

    def position(self) -> tuple[int, str] | None:
        if self.cursor is None:
            return None
        cursor = cursors.decode(self.cursor, _Cursor)
        return cursor.last_timestamp_us, cursor.last_id

    def _refuse_subjects_together(self) -> None:
        if self.observation_id and not self.trace_id:
            message = "observationId: requires traceId"
            raise BadRequestError(message, field="observationId")
        subjects = {
            "traceId": self.trace_id,
            "sessionId": self.session_id,
            "experimentId": self.experiment_id,
        }
        given = [name for name, ids in subjects.items() if ids]
        if len(given) > 1:
            message = f"{given[1]}: cannot be combined with {given[0]}"
            raise BadRequestError(message, field=given[1])

    def _types(self) -> tuple[str, ...]:
        return chosen_values("dataType", self.data_type, _DATA_TYPES)

    def _add_values(self, conditions: ConditionList, types: tuple[str, ...]) -> None:
        for name, bound in (("valueMin", self.value_min), ("valueMax", self.value_max)):
            if bound is not None and types != ("NUMERIC",):
                raise BadRequestError(f"{name}: requires dataType=NUMERIC", field=name)
        conditions.add("value", "ge", self.value_min)
        conditions.add("value", "le", self.value_max)
        values = parts_of(self.value)
        if not values:
            return
        match types:
            case ("NUMERIC",):
                conditions.add("value", "in", tuple(_number(value) for value in values))
            case ("BOOLEAN",):
                conditions.add("value", "in", tuple(_flag(value) for value in values))
            case ("CATEGORICAL",):
                conditions.add("stringValue", "in", values)
            case _:
                message = "value: requires one dataType: NUMERIC, BOOLEAN or CATEGORICAL"
                raise BadRequestError(message, field="value")


def scores_v3_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["scores"])

    @router.get(
        "/api/public/v3/scores",
        summary="List scores by groups of fields",
        responses={
            200: context.documented.response(
                ScoreV3List, "Scores below the cursor.", SCORE_V3_LIST_EXAMPLE
            )
        },
    )
    async def list_scores_v3(
        project_id: ProjectId, parameters: Annotated[ScoreV3ListParameters, Query()]
    ) -> Response:
        """Scores of traces, observations, sessions and experiments, newest first.

        Pages are by `meta.cursor`, which is absent on the last page.
        """
        groups = chosen_groups(parameters.fields, GROUPS, frozenset())
        query = FindScores(
            project_id,
            parameters.conditions(),
            parameters.limit + 1,
            below=parameters.position(),
        )
        found = await context.reader.rows(query, StoredScore)
        rows = found[: parameters.limit]
        cursor = None
        if len(found) > len(rows):
            cursor = cursors.encode(_Cursor(rows[-1].event_us, rows[-1].id))
        meta = LimitedCursorMeta(limit=parameters.limit, cursor=cursor)
        return json_response(ScoreV3List([score_v3(row, groups) for row in rows], meta))

    return router


def _number(text: str) -> str:
    number = finite(text)
    if number is None:
        raise BadRequestError(f"value: {text[:64]!r} is not a finite number", field="value")
    return repr(number)


def _flag(text: str) -> str:
    if text not in _FLAGS:
        message = f"value: {text[:64]!r} is neither true nor false"
        raise BadRequestError(message, field="value", allowed=tuple(_FLAGS))
    return _FLAGS[text]
