"""Serve the split of a prompt's traffic over labels, and the removal of labels."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.prompt import LABELS_MAX, Prompt
from producers.prompts.split import SLOTS, label_of_slot, reweighted, slot_of, slots_of
from query_api.body import Body
from query_api.context import AppContext, Caller, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.openapi.prompt_examples import (
    ASSIGNMENT_EXAMPLE,
    PROMPT_SPLIT_EXAMPLE,
    PROMPT_SPLIT_REQUEST_EXAMPLE,
)
from query_api.prompts.library import Author, PromptLibrary, author_of
from query_api.prompts.names import LABEL_PATTERN, PromptName
from query_api.responses import Responses, json_response
from query_api.v1.parameters import NativeParameters, native_router

WEIGHT_MAX = 1_000_000
KEY_MAX = 1_000
LabelPath = Annotated[str, Path(pattern=LABEL_PATTERN, examples=["canary"])]


class SplitBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [PROMPT_SPLIT_REQUEST_EXAMPLE]}
    )

    weights: dict[
        Annotated[str, Field(pattern=LABEL_PATTERN)],
        Annotated[float, Field(ge=0, le=WEIGHT_MAX, allow_inf_nan=False)],
    ] = Field(
        max_length=LABELS_MAX, description="Weights by label; empty: the traffic is not split."
    )


class SplitOut(msgspec.Struct):
    name: str
    shares: dict[str, float]
    """Share of the traffic by label, in steps of a hundredth of a percent."""


class AssignmentOut(msgspec.Struct, kw_only=True):
    name: str
    key: str
    label: str
    version: int
    id: str
    metadata: dict[str, str]
    """Metadata for the trace, which records the assignment."""


class AssignParameters(NativeParameters):
    key: Annotated[str, Field(min_length=1, max_length=KEY_MAX)] = Field(
        description="What the traffic is split by, such as the id of a user.",
        examples=[ASSIGNMENT_EXAMPLE["key"]],
    )


def prompt_split_router(context: AppContext) -> APIRouter:
    router = native_router("prompts")
    documented, library = context.documented, context.prompts
    split: Responses = {200: documented.response(SplitOut, "The split.", PROMPT_SPLIT_EXAMPLE)}

    def find(project_id: str, name: str) -> Prompt:
        prompt = library.find(project_id, name)
        if prompt is None:
            raise NotFoundError(f"Prompt not found: '{name}'")
        return prompt

    @router.get(
        "/v1/prompts/{name:path}/split", summary="Get the split of a prompt", responses=split
    )
    async def get_split(project_id: ProjectId, name: PromptName) -> Response:
        return json_response(_shown(find(project_id, name)))

    @router.put(
        "/v1/prompts/{name:path}/split", summary="Split the traffic of a prompt", responses=split
    )
    async def set_split(caller: Caller, name: PromptName, body: SplitBody) -> Response:
        """Split traffic over labels by weight.

        Another split moves only as many keys as necessary.
        """
        return json_response(_shown(await put_split(library, author_of(caller), name, body)))

    @router.get(
        "/v1/prompts/{name:path}/assign",
        summary="Assign a version of a prompt to a key",
        responses={200: documented.response(AssignmentOut, "The assignment.", ASSIGNMENT_EXAMPLE)},
    )
    async def assign(
        project_id: ProjectId, name: PromptName, parameters: Annotated[AssignParameters, Query()]
    ) -> Response:
        """Return the version that the split assigns to a key, always the same for a key.

        Set `metadata` on the trace, and link generations to the prompt as usual.
        """
        prompt = find(project_id, name)
        if not prompt.split:
            raise NotFoundError(f"the traffic of prompt '{name}' is not split")
        label = label_of_slot(prompt.split, slot_of(prompt.id, parameters.key))
        found = library.version(project_id, name, label=label)
        return json_response(
            AssignmentOut(
                name=name,
                key=parameters.key,
                label=label,
                version=found.record.version,
                id=found.record.id,
                metadata={f"prompt_label.{name}": label},
            )
        )

    @router.delete(
        "/v1/prompts/{name:path}/labels/{label}",
        status_code=204,
        summary="Remove a label of a prompt",
    )
    async def remove_label(caller: Caller, name: PromptName, label: LabelPath) -> Response:
        """Remove a label from the version that has it; `latest` cannot be removed."""
        await library.remove_label(author_of(caller), name, label)
        return Response(status_code=204)

    return router


async def put_split(library: PromptLibrary, author: Author, name: str, body: SplitBody) -> Prompt:
    """Change how the traffic of a prompt is split.

    Raises:
        NotFoundError: there is no such prompt.
        BadRequestError: no weight is positive, or no version has a label.
    """
    weights = {label: Fraction(repr(weight)) for label, weight in body.weights.items()}
    if weights and not any(weights.values()):
        raise BadRequestError("weights: at least one must be positive", field="weights")
    return await library.set_split(author, name, partial(_with_weights, weights))


def _shown(prompt: Prompt) -> SplitOut:
    counts = slots_of(prompt.split)
    return SplitOut(prompt.name, {label: count / SLOTS for label, count in sorted(counts.items())})


def _with_weights(weights: Mapping[str, Fraction], held: Prompt) -> Prompt:
    """Return a prompt with another split."""
    for label, weight in weights.items():
        if weight and label not in held.labels:
            raise BadRequestError(
                f"weights: no version has the label {label!r}",
                field="weights",
                allowed=tuple(held.labels),
            )
    return held.model_copy(update={"split": reweighted(held.split, weights) if weights else ()})
