"""Find the objects that comments refer to."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from producers.control.kinds.prompt_version import PromptVersion
from query_api import metrics
from query_api.context import AppContext
from query_api.errors import NotFoundError
from query_api.store.columns import OBSERVATION_COLUMNS, TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.observations import FindObservations
from query_api.store.queries.traces import FindTraces
from query_api.store.sql import StoreQuery
from query_api.store.trace_reading import IdOfTrace

ObjectType = Literal["TRACE", "OBSERVATION", "SESSION", "PROMPT"]
SHOWN_CHARS_MAX: Final = 128
RECHECK_S: Final = 0.2


class CommentedObjects:
    """The traces, observations, sessions and versions of prompts that comments can refer to."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    async def require(self, project_id: str, object_type: ObjectType, object_id: str) -> None:
        """Check that an object exists, or is stored within ``comment_object_wait_s``.

        Applications comment on traces that they have just sent, and these take a moment to be
        stored.

        Raises:
            NotFoundError: the project has no such object.
            TooCostlyError, UnavailableError: the store did not answer in time.
        """
        if object_type == "PROMPT":
            is_found = self._is_prompt_version(project_id, object_id)
        else:
            is_found = await self._is_stored(_query(project_id, object_type, object_id))
        if not is_found:
            shown = object_id[:SHOWN_CHARS_MAX]
            raise NotFoundError(f"Reference object, {object_type}: {shown} not found in project.")

    async def _is_stored(self, query: StoreQuery) -> bool:
        reader = self._context.reader
        if await reader.rows(query, IdOfTrace):
            return True
        try:
            async with asyncio.timeout(self._context.settings.comment_object_wait_s):
                while True:
                    await asyncio.sleep(RECHECK_S)
                    if await reader.rows(query, IdOfTrace):
                        return True
        except TimeoutError:
            metrics.LIMITS_REACHED.labels("comment_object_wait_s").inc()
            return False

    def _is_prompt_version(self, project_id: str, version_id: str) -> bool:
        record = self._context.control.view[PromptVersion].get(version_id)
        if record is None or record.project_id != project_id:
            return False
        library = self._context.prompts
        return library.id_of(project_id, record.name, record.version) == version_id


def _query(project_id: str, object_type: ObjectType, object_id: str) -> StoreQuery:
    if object_type == "OBSERVATION":
        conditions = (Condition(OBSERVATION_COLUMNS["id"], "eq", object_id),)
        return FindObservations(project_id, conditions, limit=1)
    column = TRACE_COLUMNS["id" if object_type == "TRACE" else "sessionId"]
    return FindTraces(project_id, (Condition(column, "eq", object_id),), limit=1)
