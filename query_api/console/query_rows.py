"""Answer queries of pages as ``POST /v1/query`` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from query_api.console.form_bodies import body_of
from query_api.context import AppContext
from query_api.query.answers import Answer, AnswerRow, answer_of
from query_api.v1.query_bodies import QueryBody


async def answered(
    context: AppContext, project_id: str, body: Mapping[str, Any], at_us: int
) -> Answer:
    """Return the answer to a body, whose range may be relative to ``at_us``.

    Raises:
        FormError: the body is invalid; the messages are by its parts.
        BadRequestError, TooCostlyError, UnavailableError: as ``answer_of``.
    """
    request = body_of(QueryBody, body).request(project_id, at_us, context.settings)
    return await answer_of(context.query_engine, request)


async def answered_rows(
    context: AppContext, project_id: str, body: Mapping[str, Any], at_us: int
) -> list[AnswerRow]:
    """Return the rows of ``answered``. Raises: as that."""
    return (await answered(context, project_id, body, at_us)).rows
