"""Serve ``/api/public/v2/prompts``, and ``/api/public/prompts`` of older SDKs."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from pydantic import Field
from starlette.responses import Response

from producers.control.kinds.prompt import Prompt
from producers.control.kinds.prompt_version import PromptVersion
from producers.prompts.composition import CompositionError
from query_api.context import AppContext, Caller, ProjectId
from query_api.errors import BadRequestError, ConflictError, NotFoundError
from query_api.langfuse.parameters import LangfuseParameters, PageParameters, Text
from query_api.numbers import Whole
from query_api.openapi.prompt_examples import PROMPT_EXAMPLE, PROMPT_LIST_EXAMPLE
from query_api.pages import page_meta
from query_api.prompts.bodies import CreatePromptBody, LabelsBody
from query_api.prompts.library import FoundVersion, PromptLibrary, author_of
from query_api.prompts.names import PATH_NAME_MAX, PromptName
from query_api.prompts.shapes import (
    PromptList,
    PromptMetaOut,
    PromptOut,
    shown_meta,
    shown_prompt,
)
from query_api.responses import Responses, json_response
from query_api.times import Instant

_PROMPTS = "/api/public/v2/prompts"
PROMPT_PATHS = (_PROMPTS, "/api/public/prompts")
"""Paths of requests that contain prompts."""
VERSION_MAX = 2**31 - 1
VersionPath = Annotated[Whole, Path(ge=1, le=VERSION_MAX, examples=["1"])]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=1_000)]


class VersionParameters(LangfuseParameters):
    version: Whole | None = Field(None, ge=1, le=VERSION_MAX)
    label: Text | None = Field(None, description="`latest` is the highest version.")

    def check(self) -> None:
        """Refuse a version and a label together.

        Raises:
            BadRequestError: both are given.
        """
        if self.version is not None and self.label is not None:
            raise BadRequestError("Cannot specify both version and label", field="version")


class GetPromptParameters(VersionParameters):
    resolve: bool = Field(True, description="Whether references to other prompts are replaced.")


class LegacyPromptParameters(VersionParameters):
    name: Annotated[str, Field(min_length=1, max_length=PATH_NAME_MAX)] = Field(
        examples=[PROMPT_EXAMPLE["name"]]
    )


class PromptListParameters(PageParameters):
    name: Text | None = None
    version: Whole | None = Field(None, ge=1, le=VERSION_MAX)
    label: Text | None = None
    tag: Text | None = None
    from_updated_at: Instant | None = None
    to_updated_at: Instant | None = Field(None, description="Before this time.")
    limit: Whole = Field(10, ge=1, le=100)

    def versions_of(self, prompt: Prompt) -> list[int]:
        """Return the versions of a prompt that the parameters select."""
        if self.name is not None and prompt.name != self.name:
            return []
        if self.tag is not None and self.tag not in prompt.tags:
            return []
        return [
            number
            for number, updated_us in prompt.versions.items()
            if (self.version is None or number == self.version)
            and (self.label is None or prompt.labels.get(self.label) == number)
            and (self.from_updated_at is None or updated_us >= self.from_updated_at)
            and (self.to_updated_at is None or updated_us < self.to_updated_at)
        ]


def prompts_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["prompts"])
    documented, library = context.documented, context.prompts
    one: Responses = {200: documented.response(PromptOut, "The version.", PROMPT_EXAMPLE)}
    created: Responses = {201: documented.response(PromptOut, "The new version.", PROMPT_EXAMPLE)}
    read: Responses = {
        **one,
        304: {"description": "The version is that of `If-None-Match`."},
    }
    readers = _Readers(context)

    @router.post(
        _PROMPTS, status_code=201, summary="Create a version of a prompt", responses=created
    )
    async def create_prompt(caller: Caller, body: CreatePromptBody) -> Response:
        """Create the next version. Its labels and `latest` are removed from other versions.

        References to other prompts, such as `@@@langfusePrompt:name=rules|label=production@@@`,
        must exist.
        """
        found = await library.create(author_of(caller), body)
        return json_response(shown_prompt(found), status=201)

    @router.get(
        _PROMPTS,
        summary="List prompts",
        responses={200: documented.response(PromptList, "A page of prompts.", PROMPT_LIST_EXAMPLE)},
    )
    async def list_prompts(
        project_id: ProjectId, parameters: Annotated[PromptListParameters, Query()]
    ) -> Response:
        """Return prompts sorted by name, with the versions that all filters select."""
        return json_response(readers.page(project_id, parameters))

    @router.patch(
        _PROMPTS + "/{name:path}/versions/{version}",
        summary="Move labels to a version of a prompt",
        responses=one,
    )
    async def change_labels(
        caller: Caller, name: PromptName, version: VersionPath, body: LabelsBody
    ) -> Response:
        """Move labels to a version, which keeps those that it has."""
        found = await library.set_labels(author_of(caller), name, version, body.new_labels)
        return json_response(shown_prompt(found))

    @router.get(_PROMPTS + "/{name:path}", summary="Get a prompt", responses=read)
    async def get_prompt(
        project_id: ProjectId,
        name: PromptName,
        parameters: Annotated[GetPromptParameters, Query()],
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Return a version by number or label; by default, that with the label `production`."""
        parameters.check()
        found = await readers.found(project_id, name, parameters)
        return conditional(readers.shown(found, resolve=parameters.resolve), if_none_match)

    @router.delete(
        _PROMPTS + "/{name:path}", status_code=204, summary="Delete a prompt, or versions of it"
    )
    async def delete_prompt(
        caller: Caller, name: PromptName, parameters: Annotated[VersionParameters, Query()]
    ) -> Response:
        """Delete a version, the version with a label, or without parameters the whole prompt."""
        parameters.check()
        await library.delete(
            author_of(caller), name, version=parameters.version, label=parameters.label
        )
        return Response(status_code=204)

    @router.get(PROMPT_PATHS[1], summary="Get a prompt (older SDKs)", responses=read)
    async def get_prompt_v1(
        project_id: ProjectId,
        parameters: Annotated[LegacyPromptParameters, Query()],
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Return a version; by default, that with the label `production`."""
        parameters.check()
        found = await readers.found(project_id, parameters.name, parameters)
        return conditional(readers.shown(found, resolve=True), if_none_match)

    @router.post(
        PROMPT_PATHS[1],
        status_code=201,
        summary="Create a version of a prompt (older SDKs)",
        responses=created,
    )
    async def create_prompt_v1(caller: Caller, body: CreatePromptBody) -> Response:
        """Create the next version; `isActive` is the label `production`."""
        found = await library.create(author_of(caller), body)
        return json_response(shown_prompt(found), status=201)

    return router


class _Readers:
    """Read prompts for the routes."""

    def __init__(self, context: AppContext) -> None:
        self._control = context.control
        self._library: PromptLibrary = context.prompts
        self._text_max_chars = context.settings.prompt_resolved_max_chars

    async def found(
        self, project_id: str, name: str, parameters: VersionParameters
    ) -> FoundVersion:
        """Return a version. Raises ``NotFoundError`` if there is none."""
        version, label = parameters.version, parameters.label
        try:
            return self._library.version(project_id, name, version=version, label=label)
        except NotFoundError:
            # Another process may have created it just now.
            await self._control.caught_up()
            return self._library.version(project_id, name, version=version, label=label)

    def shown(self, found: FoundVersion, *, resolve: bool) -> PromptOut:
        if not resolve or not found.record.references:
            return shown_prompt(found)
        prompts = self._library.of_project(found.record.project_id)
        try:
            resolved = prompts.resolve(found.record, self._text_max_chars)
        except CompositionError as error:
            raise ConflictError(str(error)) from None
        return shown_prompt(found, resolved.content, resolved.included)

    def page(self, project_id: str, parameters: PromptListParameters) -> PromptList:
        selected = [
            (prompt, versions)
            for prompt in self._library.prompts(project_id)
            if (versions := parameters.versions_of(prompt))
        ]
        shown = selected[parameters.offset : parameters.offset + parameters.limit]
        meta = page_meta(parameters.page, parameters.limit, len(selected))
        return PromptList([self._meta(*each) for each in shown], meta, meta)

    def _meta(self, prompt: Prompt, versions: list[int]) -> PromptMetaOut:
        newest = self._control.view[PromptVersion].get(prompt.id_of_version(max(versions)))
        return shown_meta(prompt, versions, "{}" if newest is None else newest.config)


def conditional(shown: PromptOut, if_none_match: str | None) -> Response:
    """Return a response with its ``ETag``, or 304 without a body if the client has it."""
    response = json_response(shown)
    tag = f'"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    response.headers["ETag"] = tag
    if if_none_match is not None:
        given = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
        if tag in given or "*" in given:
            return Response(status_code=304, headers={"ETag": tag})
    return response
