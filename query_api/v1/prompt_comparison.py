"""Serve ``/v1/prompts/{name}/compare``: an A/B test of versions of a prompt."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from producers.control.kinds.prompt import LATEST, PRODUCTION, Prompt
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.openapi.prompt_examples import COMPARISON_EXAMPLE
from query_api.prompts.comparison import (
    Arm,
    ScoreRow,
    TestOut,
    UsageRow,
    VersionOut,
    scores_by_name,
    shown_arm,
    tests_of,
)
from query_api.prompts.names import PromptName
from query_api.responses import json_response
from query_api.store.queries.prompt_usage import FindPromptScores, FindPromptUsage
from query_api.times import RangeInstant, iso
from query_api.v1.parameters import NativeParameters, native_router
from tracemill.clock import now_us

VERSIONS_MAX: Final = 10
DEFAULT_RANGE_US: Final = 90 * 86_400_000_000


class CompareParameters(NativeParameters):
    versions: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None,
        max_length=VERSIONS_MAX,
        description="Numbers of versions, separated by commas, or repeated. The others are tested"
        " against the first one.",
    )
    labels: list[Annotated[str, Field(max_length=500)]] | None = Field(
        None,
        max_length=VERSIONS_MAX,
        description="The same by labels; without both parameters, `production` and `latest`.",
        examples=["production,staging"],
    )
    from_us: RangeInstant | None = Field(
        None,
        alias="from",
        description="Earliest start of a call; by default 90 days before `to`.",
        examples=["2026-11-14T12:00:00Z"],
    )
    to_us: RangeInstant | None = Field(
        None,
        alias="to",
        description="Exclusive; by default now.",
        examples=["2100-01-01T00:00:00Z"],
    )


class ComparisonMeta(msgspec.Struct, rename={"from_": "from"}):
    from_: str
    to: str


class PromptComparison(msgspec.Struct):
    data: list[VersionOut]
    tests: list[TestOut]
    meta: ComparisonMeta


def prompt_comparison_router(context: AppContext) -> APIRouter:
    router = native_router("prompts")

    @router.get(
        "/v1/prompts/{name:path}/compare",
        summary="Compare versions of a prompt",
        responses={
            200: context.documented.response(
                PromptComparison, "The comparison.", COMPARISON_EXAMPLE
            )
        },
    )
    async def compare(
        project_id: ProjectId, name: PromptName, parameters: Annotated[CompareParameters, Query()]
    ) -> Response:
        """Return calls, errors, cost, latency, tokens and scores of versions, with tests.

        Means are compared by Welch's t-test, shares by a z-test of two proportions. `sequential`
        has p-values that remain valid if you look repeatedly while data arrives.
        """
        return json_response(await read_comparison(context, project_id, name, parameters))

    return router


async def read_comparison(
    context: AppContext, project_id: str, name: str, parameters: CompareParameters
) -> PromptComparison:
    """Compare versions of a prompt.

    Raises:
        NotFoundError: there is no such prompt or version.
        BadRequestError: the parameters do not fit together.
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    prompt = context.prompts.find(project_id, name)
    if prompt is None:
        raise NotFoundError(f"Prompt not found: '{name}'")
    chosen = _chosen(prompt, parameters)
    to_us = now_us() if parameters.to_us is None else parameters.to_us
    from_us = to_us - DEFAULT_RANGE_US if parameters.from_us is None else parameters.from_us
    if from_us >= to_us:
        raise BadRequestError("from: must be before to", field="from")
    versions = tuple(sorted({version for _, version in chosen}))
    reader = context.reader
    usage, scores = await asyncio.gather(
        reader.rows(FindPromptUsage(project_id, name, versions, from_us, to_us), UsageRow),
        reader.rows(FindPromptScores(project_id, name, versions, from_us, to_us), ScoreRow),
    )
    of_version = {row.version: row for row in usage}
    arms = [
        Arm(
            label,
            version,
            of_version.get(version) or UsageRow(version),
            scores_by_name([row for row in scores if row.version == version]),
        )
        for label, version in chosen
    ]
    return PromptComparison(
        [shown_arm(arm) for arm in arms],
        tests_of(arms),
        ComparisonMeta(iso(from_us), iso(to_us)),
    )


def _chosen(prompt: Prompt, parameters: CompareParameters) -> list[tuple[str | None, int]]:
    """Return the labels and versions to compare, in the given order."""
    numbers, labels = _parts(parameters.versions), _parts(parameters.labels)
    if numbers and labels:
        raise BadRequestError("versions: set either versions or labels", field="versions")
    if not numbers and not labels:
        held = prompt.labels
        return [(each, held[each]) for each in (PRODUCTION, LATEST) if each in held]
    field = "versions" if numbers else "labels"
    if len(set(numbers or labels)) != len(numbers or labels):
        raise BadRequestError(f"{field}: must be different from each other", field=field)
    if len(numbers or labels) > VERSIONS_MAX:
        raise BadRequestError(f"{field}: at most {VERSIONS_MAX} are allowed", field=field)
    chosen: list[tuple[str | None, int]] = []
    for text in numbers:
        if not text.isascii() or not text.isdigit() or len(text) > 10:
            raise BadRequestError(
                f"versions: {text[:64]!r} is not a number of a version", field="versions"
            )
        if int(text) not in prompt.versions:
            raise NotFoundError(f"Prompt not found: '{prompt.name}' with version {int(text)}")
        chosen.append((None, int(text)))
    for label in labels:
        if label not in prompt.labels:
            raise NotFoundError(f"Prompt not found: '{prompt.name}' with label '{label[:64]}'")
        chosen.append((label, prompt.labels[label]))
    return chosen


def _parts(texts: list[str] | None) -> list[str]:
    return [part.strip() for text in texts or () for part in text.split(",") if part.strip()]
