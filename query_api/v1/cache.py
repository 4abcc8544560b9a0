"""Serve ``/v1/cache``: what prompt caches and caches of applications saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from query_api.context import AppContext, ProjectId
from query_api.openapi.v1_examples import CACHE_EXAMPLE
from query_api.responses import json_response
from query_api.store.steps import Step, end_s
from query_api.store.window_measures import OF_CACHES
from query_api.times import SECOND_US, iso
from query_api.v1.caches import ApplicationCache, CacheTotals, PromptCache
from query_api.v1.parameters import native_router
from query_api.v1.window_reading import read_windows
from query_api.v1.window_rows import DIMENSIONS, GroupedStep
from query_api.v1.windows import WindowParameters, WindowsMeta, meta_of
from tracemill.clock import now_us


class CacheParameters(WindowParameters):
    step: Step = Field(default="1d")


class CacheOut(GroupedStep, kw_only=True, gc=False):
    prompt: PromptCache
    application: ApplicationCache


class CacheList(msgspec.Struct):
    prompt: PromptCache
    application: ApplicationCache
    data: list[CacheOut]
    meta: WindowsMeta


class _Amounts(msgspec.Struct):
    start_s: int
    tokens: dict[str, int]
    cache_exact: int
    cache_semantic: int
    cache_miss: int
    cached_saved_usd: str
    app_saved_usd: str


if TYPE_CHECKING:
    _Row = _Amounts
else:
    _Row = msgspec.defstruct(
        "_Row", [(name, str, "") for name in DIMENSIONS], bases=(_Amounts,), module=__name__
    )
_ABOUT: Final = "Both kinds of caches in the whole range, and by step and group."


def cache_router(context: AppContext) -> APIRouter:
    """Return the route."""
    router = native_router("windows")
    settings = context.settings

    @router.get(
        "/v1/cache",
        summary="Hits and savings of prompt caches and of caches of the application",
        responses={200: context.documented.response(CacheList, _ABOUT, CACHE_EXAMPLE)},
    )
    async def show_caches(
        project_id: ProjectId, parameters: Annotated[CacheParameters, Query()]
    ) -> Response:
        """Return hits and savings of the whole range, and of each step.

        The parameters are those of `/v1/windows`; by default, steps are days. An application marks
        what its cache answered by metadata or attributes: `cache_hit` (a boolean) and `cache.type`
        (`exact`, `semantic` or `miss`).
        """
        request = parameters.request(project_id, now_us(), settings.window_steps_max)
        read = await read_windows(context, request, OF_CACHES, _Row)
        data = []
        for row in read.rows:
            grouped: dict[str, Any] = {name: getattr(row, name) for name in request.dimensions}
            shown = CacheTotals.of([row]).shown()
            data.append(
                CacheOut(
                    start=iso(row.start_s * SECOND_US),
                    end=iso(end_s(read.bounds_s, row.start_s) * SECOND_US),
                    prompt=shown.prompt,
                    application=shown.application,
                    **grouped,
                )
            )
        total = CacheTotals.of(read.rows).shown()
        return json_response(CacheList(total.prompt, total.application, data, meta_of(request)))

    return router
