"""Define the body of a dashboard."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, field_validator

from producers.documents.kinds.dashboard import Dashboard, Tile, Variable
from query_api.body import Body
from query_api.dashboards.variables import DIMENSIONS
from query_api.numbers import Whole
from query_api.openapi.dashboard_examples import DASHBOARD_REQUEST_EXAMPLE
from query_api.query.chart_kinds import ChartKind, RangeName
from query_api.texts import Lines, OneLine, RecordName
from query_api.v1.query_bodies import QueryBody

TILES_MAX: Final = 24
VARIABLES_MAX: Final = 8
VALUES_MAX: Final = 50
VALUE_CHARS_MAX: Final = 500
COLUMNS: Final = 4
"""Columns of the grid, and the maximum width of a tile."""
ROWS_MAX: Final = 4
"""Maximum height of a tile."""
DESCRIPTION_CHARS_MAX: Final = 2_000
Value = Annotated[OneLine, Field(min_length=1, max_length=VALUE_CHARS_MAX)]


class TileBody(Body):
    """A chart."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[OneLine, Field(max_length=200)] = ""
    chart: ChartKind = Field(
        description="Charts over time (`line`, `columns`, `heatmap`) have steps that fit the range,"
        " unless the query has a `step`. `heatmap` and `distribution` show one measure with"
        " `.histogram`, `bar` needs `group_by`, and `number` shows the values of the whole range."
    )
    query: QueryBody = Field(
        description="A query as of `POST /v1/query`, without `from`, `to`, `limit` and `cursor`."
    )
    width: Whole = Field(2, ge=1, le=COLUMNS, description=f"In columns, of which {COLUMNS} fit.")
    height: Whole = Field(2, ge=1, le=ROWS_MAX, description="In rows of the grid.")


class VariableBody(Body):
    """A dimension by which the page filters all charts whose view has it."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[OneLine, Field(min_length=1, max_length=100)]
    dimension: str
    values: list[Value] = Field(
        default=[], max_length=VALUES_MAX, description="Chosen at first; empty: all values."
    )

    @field_validator("dimension")
    @classmethod
    def _require_known(cls, name: str) -> str:
        if name not in DIMENSIONS:
            raise ValueError(f"{name[:64]!r} is not one of {', '.join(DIMENSIONS)}")
        return name


class DashboardBody(Body):
    """A dashboard. What ``GET`` returns can be sent back: its other members are ignored."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [DASHBOARD_REQUEST_EXAMPLE]}
    )

    name: RecordName
    description: Annotated[Lines, Field(max_length=DESCRIPTION_CHARS_MAX)] = ""
    range: RangeName = Field("24h", description="The range of time at first, which ends now.")
    variables: list[VariableBody] = Field(default=[], max_length=VARIABLES_MAX)
    tiles: list[TileBody] = Field(
        default=[], max_length=TILES_MAX, description="In the order in which they fill the grid."
    )
    id: Any = Field(None, description="Ignored.")
    author: Any = Field(None, description="Ignored.")
    created_at: Any = Field(None, description="Ignored.")
    updated_at: Any = Field(None, description="Ignored.")

    def dashboard(self, author: str) -> Dashboard:
        """Return the content of the document."""
        return Dashboard(
            name=self.name.strip(),
            description=self.description,
            range=self.range,
            variables=tuple(
                Variable(
                    name=each.name,
                    dimension=each.dimension,
                    values=tuple(dict.fromkeys(each.values)),
                )
                for each in self.variables
            ),
            tiles=tuple(map(_tile, self.tiles)),
            author=author,
        )


def _tile(body: TileBody) -> Tile:
    query = body.query.model_dump(mode="json", by_alias=True, exclude_unset=True)
    query = {"view": body.query.view, **query}
    return Tile(
        title=body.title.strip(),
        chart=body.chart,
        query=query,
        width=body.width,
        height=body.height,
    )


def body_values(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as the body of a request."""
    return {
        "name": dashboard.name,
        "description": dashboard.description,
        "range": dashboard.range,
        "variables": [
            {"name": each.name, "dimension": each.dimension, "values": list(each.values)}
            for each in dashboard.variables
        ],
        "tiles": [
            {
                "title": each.title,
                "chart": each.chart,
                "query": each.query,
                "width": each.width,
                "height": each.height,
            }
            for each in dashboard.tiles
        ],
    }
