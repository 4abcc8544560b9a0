"""Serve ``/metrics`` to Prometheus: the metrics of a project, or of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from producers.control.auth import Principal
from producers.control.kinds.project import Project
from query_api import metrics
from query_api.context import AppContext, metrics_reader_of
from query_api.prometheus.families import Families, LabelLimits, ProjectTotals
from query_api.prometheus.totals import totals_of
from query_api.v1.parameters import native_router
from tracemill.clock import now_us

MetricsReader = Annotated[Principal, Depends(metrics_reader_of)]


def prometheus_router(context: AppContext) -> APIRouter:
    router = native_router("metrics")
    cached = _CachedTotals(context)
    limits = LabelLimits(
        context.settings.metrics_models_max, context.settings.metrics_token_types_max
    )

    @router.get("/metrics", include_in_schema=False)
    async def get_metrics(request: Request, principal: MetricsReader) -> Response:
        """Return metrics in the format that the client accepts, OpenMetrics with exemplars.

        With the admin key, they have the label `project`, and are those of all projects.
        """
        owner = principal.owner
        found = await (cached.of_all() if owner is None else cached.of(owner))
        registry = CollectorRegistry(auto_describe=False)
        families = Families(found, limits, context.sketch_counts, by_project=owner is None)
        registry.register(families)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await asyncio.to_thread(encode, registry)
        return Response(body, media_type=content_type)

    return router


class _CachedTotals:
    """Totals that are cached for a few seconds; only one project is computed at a time."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._computing = asyncio.Lock()
        self._found: dict[str, tuple[float, ProjectTotals]] = {}

    async def of(self, project_id: str) -> list[ProjectTotals]:
        """Return the totals of a project. Raises like ``Reader.rows``."""
        async with self._computing:
            loop = asyncio.get_running_loop()
            now_s = loop.time()
            self._found = {each: kept for each, kept in self._found.items() if kept[0] > now_s}
            kept = self._found.get(project_id)
            if kept is None:
                totals = await totals_of(self._context, project_id, now_us())
                kept = loop.time() + self._context.settings.metrics_cache_s, totals
                self._found[project_id] = kept
        return [kept[1]]

    async def of_all(self) -> list[ProjectTotals]:
        """Return the totals of the projects that are active. Raises like ``Reader.rows``."""
        projects: Mapping[str, Project] = self._context.control.view[Project]
        active = sorted(each.id for each in projects.values() if each.state == "active")
        if len(active) > self._context.settings.metrics_projects_max:
            metrics.LIMITS_REACHED.labels("metrics_projects_max").inc()
            active = active[: self._context.settings.metrics_projects_max]
        return [totals for project_id in active for totals in await self.of(project_id)]
