"""Serve ``/api/public/comments``: comments on traces, observations, sessions and prompts."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from producers.documents.kinds.comment import Comment
from query_api.body import Body, require_unicode
from query_api.context import AppContext, ProjectId
from query_api.documents.document import Document
from query_api.errors import BadRequestError, NotFoundError
from query_api.langfuse.commented_objects import CommentedObjects, ObjectType
from query_api.langfuse.parameters import PageParameters, Text
from query_api.openapi.dataset_examples import (
    COMMENT_EXAMPLE,
    COMMENT_REQUEST_EXAMPLE,
    ONE_PAGE,
)
from query_api.pages import PageMeta, page_meta
from query_api.responses import Responses, json_response
from query_api.times import iso

CONTENT_CHARS_MAX: Final = 5_000
ID_CHARS_MAX: Final = 1_000
Id = Annotated[str, Field(min_length=1, max_length=ID_CHARS_MAX), AfterValidator(require_unicode)]
CommentId = Annotated[str, Path(max_length=ID_CHARS_MAX, examples=[COMMENT_EXAMPLE["id"]])]


class CommentBody(Body):
    model_config = ConfigDict(
        alias_generator=to_camel, json_schema_extra={"examples": [COMMENT_REQUEST_EXAMPLE]}
    )

    project_id: Id | None = Field(None, description="If given, it must be the key's project.")
    object_type: ObjectType
    object_id: Id
    content: Annotated[str, AfterValidator(require_unicode)] = Field(
        min_length=1, max_length=CONTENT_CHARS_MAX
    )
    author_user_id: Id | None = None


class CommentParameters(PageParameters):
    object_type: ObjectType | None = None
    object_id: Text | None = Field(None, description="Requires `objectType`.")
    author_user_id: Text | None = None


class CommentOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    project_id: str
    created_at: str
    updated_at: str
    object_type: str
    object_id: str
    content: str
    author_user_id: str | None


class CommentList(msgspec.Struct):
    data: list[CommentOut]
    meta: PageMeta


class CommentCreated(msgspec.Struct):
    id: str


def comments_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["comments"])
    documents, documented = context.documents, context.documented
    objects = CommentedObjects(context)
    created: Responses = {
        200: documented.response(CommentCreated, "The id.", {"id": COMMENT_EXAMPLE["id"]})
    }
    one: Responses = {200: documented.response(CommentOut, "The comment.", COMMENT_EXAMPLE)}
    listed: Responses = {
        200: documented.response(
            CommentList, "A page of comments.", {"data": [COMMENT_EXAMPLE], "meta": ONE_PAGE}
        )
    }

    @router.post("/api/public/comments", summary="Create a comment", responses=created)
    async def create_comment(project_id: ProjectId, body: CommentBody) -> Response:
        if body.project_id not in (None, project_id):
            raise NotFoundError("Project not found")
        await objects.require(project_id, body.object_type, body.object_id)
        comment = Comment(**body.model_dump(exclude={"project_id"}))
        return json_response(CommentCreated((await documents.create(project_id, comment)).id))

    @router.get("/api/public/comments", summary="List comments", responses=listed)
    async def list_comments(
        project_id: ProjectId, parameters: Annotated[CommentParameters, Query()]
    ) -> Response:
        """Newest first."""
        if parameters.object_id is not None and parameters.object_type is None:
            raise BadRequestError("objectType is required with objectId", field="objectType")
        found, total = await documents.page(
            Comment,
            project_id,
            offset=parameters.offset,
            limit=parameters.limit,
            parent=parameters.object_type or "",
            subject=parameters.object_id or "",
            name=parameters.author_user_id or "",
        )
        meta = page_meta(parameters.page, parameters.limit, total)
        return json_response(CommentList([_comment_out(each) for each in found], meta))

    @router.get("/api/public/comments/{comment_id}", summary="Get a comment", responses=one)
    async def get_comment(project_id: ProjectId, comment_id: CommentId) -> Response:
        comment = await documents.get(Comment, project_id, comment_id)
        if comment is None:
            raise NotFoundError("Comment not found within authorized project")
        return json_response(_comment_out(comment))

    return router


def _comment_out(comment: Document[Comment]) -> CommentOut:
    body = comment.body
    return CommentOut(
        id=comment.id,
        project_id=comment.project_id,
        created_at=iso(comment.created_us),
        updated_at=iso(comment.updated_us),
        object_type=body.object_type,
        object_id=body.object_id,
        content=body.content,
        author_user_id=body.author_user_id,
    )
