"""Serve ``/v1/pipeline``: lag and throughput of each stage, for all projects together."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from query_api.context import AppContext, Installation
from query_api.health.limits_reached import LimitReached, limits_reached
from query_api.health.topic_rates import TopicProgress
from query_api.openapi.operations_examples import PIPELINE_EXAMPLE
from query_api.responses import json_response
from query_api.times import iso
from query_api.v1.parameters import native_router


class Pipeline(msgspec.Struct, kw_only=True):
    data: list[TopicProgress]
    """In the order in which events pass the topics; empty while the broker does not respond."""
    stored_until: str | None
    """Time before which all accepted events are stored; null: unknown."""
    limits_reached: list[LimitReached]
    """How often this process has reached limits since its start, the highest number first."""


def pipeline_router(context: AppContext) -> APIRouter:
    router = native_router("operations")

    @router.get(
        "/v1/pipeline",
        summary="Get lag and throughput by stage",
        responses={
            200: context.documented.response(
                Pipeline, "The topics of each stage.", PIPELINE_EXAMPLE
            )
        },
    )
    async def get_pipeline(_: Installation) -> Response:
        """Return how many records arrive in each topic, are processed, and wait.

        The topics have records of all projects, so this requires the installation's admin key.
        """
        return json_response(read_pipeline(context))

    return router


def read_pipeline(context: AppContext) -> Pipeline:
    """Return the progress of all stages at their last check."""
    stored_us = context.query_engine.fresh_until_us()
    return Pipeline(
        data=list(context.pipeline()),
        stored_until=None if stored_us is None else iso(stored_us),
        limits_reached=limits_reached(),
    )
