"""Serve ``/v1/protected-labels``: labels of prompts that only admin keys of the project change."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.prompt import LABELS_MAX
from producers.control.kinds.protected_labels import ProtectedLabels
from query_api.body import Body
from query_api.context import AppContext, ProjectAdmin, ProjectId
from query_api.openapi.prompt_examples import PROTECTED_LABELS_EXAMPLE
from query_api.prompts.names import MovableLabel
from query_api.responses import Responses, json_response
from query_api.v1.etags import IfMatch, Precondition, expected_version, with_etag
from query_api.v1.parameters import native_router
from tracemill.clock import now_us


class ProtectedLabelsBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [PROTECTED_LABELS_EXAMPLE]}
    )

    labels: list[MovableLabel] = Field(max_length=LABELS_MAX)


class ProtectedLabelsOut(msgspec.Struct):
    labels: list[str]


def protected_labels_router(context: AppContext) -> APIRouter:
    router = native_router("prompts")
    library = context.prompts
    shown: Responses = {
        200: context.documented.response(
            ProtectedLabelsOut, "The protected labels.", PROTECTED_LABELS_EXAMPLE
        )
    }

    @router.get("/v1/protected-labels", summary="List protected labels", responses=shown)
    async def list_protected_labels(project_id: ProjectId) -> Response:
        """Return the labels of prompts that only keys with the scope `admin` change."""
        response = json_response(ProtectedLabelsOut(sorted(library.protected(project_id))))
        with_etag(response, context.control.view[ProtectedLabels].get(project_id))
        return response

    @router.put("/v1/protected-labels", summary="Set protected labels", responses=shown)
    async def set_protected_labels(
        caller: ProjectAdmin, body: ProtectedLabelsBody, if_match: IfMatch
    ) -> Response:
        """Replace the list. Requires a key of the project with the scope `admin`.

        With `If-Match: <ETag of an earlier response>`, the request has an effect only if the list
        has not changed since; otherwise: 409.
        """
        written = await set_protected(context, caller.project_id, body, if_match)
        response = json_response(ProtectedLabelsOut(list(written.labels)))
        with_etag(response, written)
        return response

    return router


async def set_protected(
    context: AppContext,
    project_id: str,
    body: ProtectedLabelsBody,
    if_match: Precondition | None = None,
) -> ProtectedLabels:
    """Replace the protected labels of a project.

    Raises:
        ControlVersionError: the list does not meet the precondition.
        ControlError: the control log does not respond.
    """
    expected = await expected_version(context.control, ProtectedLabels, project_id, if_match)
    written = ProtectedLabels(
        id=project_id,
        project_id=project_id,
        labels=tuple(sorted(set(body.labels))),
        created_us=now_us(),
    )
    await context.control.put(written, expected=expected)
    return written
