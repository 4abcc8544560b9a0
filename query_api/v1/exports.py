"""Serve ``/v1/export``: all traces or observations of a range as lines of JSON, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field, TypeAdapter, ValidationError
from starlette.responses import Response, StreamingResponse

from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError
from query_api.query.dimension import View
from query_api.query.native_filters import condition_of
from query_api.store.conditions import Condition
from query_api.streaming import ReleasingResponse
from query_api.times import SECOND_US, RangeInstant, iso
from query_api.v1.export_formats import MEDIA_TYPES, Format, parts_of
from query_api.v1.export_rows import TABLES, Table, count_rows
from query_api.v1.export_slots import ExportSlots
from query_api.v1.parameters import NativeParameters, native_router, range_before
from query_api.v1.query_bodies import FILTERS_MAX, FilterBody
from query_api.validation_messages import message_of
from tracemill.clock import now_us

DEFAULT_RANGE_US: Final = 7 * 86_400 * SECOND_US
FILTERS_CHARS_MAX: Final = 32_000
_FILTERS: Final = TypeAdapter(Annotated[list[FilterBody], Field(max_length=FILTERS_MAX)])
TOTAL: Final = "tracemill-rows"
"""Header with the number of rows, for the progress of a download."""


class ExportParameters(NativeParameters):
    format: Format = Field("jsonl", description="`jsonl`, `csv` or `parquet`.")
    from_us: RangeInstant | None = Field(
        None,
        alias="from",
        description="Earliest start; a time, or a duration before now such as `-7d`; by default 7"
        " days before `to`.",
        examples=["2026-11-21T11:00:00Z"],
    )
    to_us: RangeInstant | None = Field(
        None,
        alias="to",
        description="Latest start, exclusive; like `from`, by default now.",
        examples=["2026-11-21T12:00:00Z"],
    )
    filters: Annotated[str, Field(max_length=FILTERS_CHARS_MAX)] = Field(
        "[]",
        description="JSON array of the `filters` of `POST /v1/query`.",
        examples=['[{"field":"cost_usd","operator":">","value":"0.1"}]'],
    )

    def conditions(self, view: View) -> tuple[Condition, ...]:
        """Return the filters. Raises: BadRequestError: one of them is wrong."""
        try:
            given = _FILTERS.validate_json(self.filters)
        except ValidationError as error:
            issue = error.errors()[0]
            field = ".".join(map(str, ("filters", *issue["loc"])))
            raise BadRequestError(f"{field}: {message_of(issue)}", field=field) from error
        return tuple(
            condition_of(view, each.field, each.operator, each.value, each.key, f"filters.{at}")
            for at, each in enumerate(given)
        )

    def range_us(self, at_us: int) -> tuple[int, int]:
        """Return the range of starts. Raises: BadRequestError: it is empty."""
        return range_before(self.from_us, self.to_us, at_us=at_us, default_us=DEFAULT_RANGE_US)


def exports_router(context: AppContext) -> APIRouter:
    """Return the routes of the tables."""
    router = native_router("export")
    for name, table in TABLES.items():
        router.add_api_route(
            f"/v1/export/{name}",
            _endpoint(context, name, table),
            name=f"export_{name}",
            summary=f"Export {name}",
            response_class=StreamingResponse,
            responses={200: _documented(table)},
        )
    return router


def _endpoint(
    context: AppContext, name: str, table: Table
) -> Callable[[ProjectId, ExportParameters], Awaitable[Response]]:
    async def export(
        project_id: ProjectId, parameters: Annotated[ExportParameters, Query()]
    ) -> Response:
        """Return all rows whose start is in the range and that meet the filters, newest first.

        Amounts are decimal strings in USD, times ISO 8601 in UTC. `unpriced` is the number of calls
        without a known price, which the amount does not include. In CSV, `tags` and `tokens` are
        JSON texts, and a text that a spreadsheet would run as a formula begins with an apostrophe.
        In Parquet, times are timestamps in UTC, amounts `decimal(38, 12)`, `tags` a list and
        `tokens` a map. If the store fails after the response began, the connection is closed early:
        compare the number of rows with the header `tracemill-rows`.
        """
        from_us, to_us = parameters.range_us(now_us())
        start = table.columns[table.start]
        conditions = (
            Condition(start, "ge", from_us),
            Condition(start, "lt", to_us),
            *parameters.conditions(table.view),
        )
        return await exported(context, project_id, name, conditions, parameters.format)

    return export


def _documented(table: Table) -> dict[str, Any]:
    """Return the description of a response."""
    schema = {"type": "string"}
    return {
        "description": "The rows.",
        "content": {
            MEDIA_TYPES["jsonl"]: {"schema": schema, "example": f'{{"{table.fields[0]}":"…"}}\n'},
            "text/csv": {"schema": schema, "example": ",".join(table.fields) + "\r\n"},
            MEDIA_TYPES["parquet"]: {"schema": {"type": "string", "format": "binary"}},
        },
        "headers": {
            TOTAL: {
                "description": "Number of rows when the export began.",
                "schema": {"type": "integer"},
            }
        },
    }


async def exported(
    context: AppContext,
    project_id: str,
    table: str,
    conditions: tuple[Condition, ...],
    form: Format,
) -> Response:
    """Return a response with all rows of a table that meet the conditions.

    Raises:
        TooCostlyError, UnavailableError: as ``count_rows``, or there are too many exports.
    """
    found = TABLES[table]
    slots: ExportSlots = context.shared(ExportSlots, lambda: ExportSlots(context.settings))
    release = slots.take(project_id)
    try:
        total = await count_rows(context, project_id, found, conditions)
    except BaseException:
        release()
        raise
    name = f"{table}-{iso(now_us())[:19].replace(':', '')}.{form}"
    return ReleasingResponse(
        parts_of(found.pages(context, project_id, conditions), found.fields, form),
        release,
        media_type=MEDIA_TYPES[form],
        headers={TOTAL: str(total), "content-disposition": f'attachment; filename="{name}"'},
    )
