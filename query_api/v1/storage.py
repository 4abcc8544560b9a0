"""Serve ``/v1/storage``: the use of the hot and the cold volume by each table."""

from __future__ import annotations

from datetime import date

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from clickhouse.tiering import storage_report
from query_api.context import AppContext, Installation
from query_api.openapi.v1_examples import STORAGE_EXAMPLE
from query_api.responses import json_response
from query_api.v1.parameters import native_router


class VolumeOfTable(msgspec.Struct, kw_only=True):
    """Use of a volume by a table, for all projects together."""

    table: str
    volume: str
    parts: int
    rows: int
    """Stored row versions. A row counts several times until its old versions are merged."""
    bytes: int
    first_day: date | None
    last_day: date | None
    overdue_parts: int
    """Parts on the hot volume that are older than TRACEMILL_HOT_DAYS."""
    overdue_rows: int


class VolumeTotal(msgspec.Struct):
    rows: int
    bytes: int


class Storage(msgspec.Struct):
    data: list[VolumeOfTable]
    volumes: dict[str, VolumeTotal]


def storage_router(context: AppContext) -> APIRouter:
    router = native_router("storage")

    @router.get(
        "/v1/storage",
        summary="Get the use of storage",
        responses={
            200: context.documented.response(
                Storage, "The use, by table and volume.", STORAGE_EXAMPLE
            )
        },
    )
    async def get_storage(_: Installation) -> Response:
        """Return the use of the hot and cold volumes by table.

        Rows move from the hot to the cold volume automatically, day by day. Queries read both. The
        tables have rows of all projects, so this requires the installation's admin key.
        """
        return json_response(await read_storage(context))

    return router


async def read_storage(context: AppContext) -> Storage:
    """Read the use of both volumes. Raises like ``Reader.bounded``."""
    uses = await context.reader.bounded(
        "storage_report", lambda bounds: storage_report(context.store, bounds)
    )
    data = [msgspec.convert(use, VolumeOfTable, from_attributes=True) for use in uses]
    volumes: dict[str, VolumeTotal] = {}
    for use in data:
        total = volumes.setdefault(use.volume, VolumeTotal(0, 0))
        total.rows += use.rows
        total.bytes += use.bytes
    return Storage(data, volumes)
