"""Define the body of ``/v1/query``, and convert it to a request."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from query_api import cursors
from query_api.body import AnyJson, Body
from query_api.durations import duration_s, duration_text
from query_api.errors import BadRequestError
from query_api.numbers import Whole
from query_api.openapi.query_examples import QUERY_REQUEST_EXAMPLES
from query_api.query.dimension import View
from query_api.query.formulas import LENGTH_MAX
from query_api.query.native_fields import (
    AGGREGATIONS,
    DIMENSIONS,
    MEASURES,
    group_by_of,
)
from query_api.query.native_filters import FIELDS, VALUES_MAX, condition_of, values_condition
from query_api.query.periods import QueryStep
from query_api.query.request import (
    Compared,
    QueryRequest,
    metrics_of,
    range_s,
    resolved_formulas,
)
from query_api.settings import QuerySettings
from query_api.store.conditions import Condition
from query_api.texts import OneLine
from query_api.times import SECOND_US, RangeInstant, TimeZone
from query_api.v1.parameters import require_at_most

MEASURES_MAX: Final = 30
GROUPS_MAX: Final = 10
FORMULAS_MAX: Final = 20
FILTERS_MAX: Final = 50
TOP_MAX: Final = 100
DEFAULT_S: Final = 86_400
PREVIOUS: Final = "previous"
_OFFSET_MAX_S: Final = 1_100 * 86_400

Name = Annotated[OneLine, Field(min_length=1, max_length=300)]
FormulaName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,63}$")]
FormulaText = Annotated[OneLine, Field(max_length=LENGTH_MAX)]

FilterValues = Annotated[
    list[Annotated[str, Field(max_length=2_000)]], Field(max_length=VALUES_MAX)
]


def _offset(value: object) -> object:
    if value is None or value == PREVIOUS:
        return value
    try:
        seconds = duration_s(value)
    except ValueError as error:
        raise ValueError(f"{error}, or `{PREVIOUS}`") from None
    if not 0 < seconds <= _OFFSET_MAX_S or seconds % 10:
        raise ValueError(
            f"{duration_text(seconds)!r} is not allowed; `{PREVIOUS}`, or a multiple of 10s up to"
            f" {duration_text(_OFFSET_MAX_S)}, is expected"
        )
    return seconds


class FilterBody(Body):
    """A condition on a field."""

    model_config = ConfigDict(extra="forbid")

    field: Name
    operator: Name
    value: AnyJson = None
    key: Annotated[str, Field(max_length=300)] = ""


class QueryBody(Body):
    """A query. Names of measures and dimensions depend on the view."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": list(QUERY_REQUEST_EXAMPLES)},
    )

    view: View = Field("observations", description="What is counted.")
    measures: list[Name] = Field(
        default=[],
        max_length=MEASURES_MAX,
        description="Measures with aggregations (" + AGGREGATIONS + "), such as `cost_usd`,"
        " `latency_ms.p95` or `tokens.input`. "
        + " ".join(f"Of {view}: {', '.join(found)}." for view, found in MEASURES.items())
        + " `tokens` has the tokens by type, `tokens.TYPE` those of one; `tokens.cache_read` and"
        " `tokens.cache_write` add up all names of cached tokens. `histogram` is only"
        " available for numbers; with steps, it is a heatmap.",
    )
    formulas: dict[FormulaName, FormulaText] = Field(
        default={},
        max_length=FORMULAS_MAX,
        description="Formulas over measures and other formulas, with `+ - * /` and parentheses."
        " A division by zero is null.",
    )
    group_by: list[Name] = Field(
        default=[],
        max_length=GROUPS_MAX,
        description=" ".join(
            f"Of {view}: {', '.join(found)}." for view, found in DIMENSIONS.items()
        )
        + " `metadata.KEY` is a member of the metadata. With `tag`, a row counts under each of its"
        " tags.",
    )
    filter: dict[Name, FilterValues] = Field(
        default={}, max_length=FILTERS_MAX, description="Allowed values of fields."
    )
    filters: list[FilterBody] = Field(
        default=[],
        max_length=FILTERS_MAX,
        description="Conditions with operators: `=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not_in`,"
        " `contains`, `not_contains`, `starts_with`, `ends_with`, `matches`, `all_of`, `is_set`,"
        " `is_not_set`. Fields "
        + " ".join(f"of {view}: {', '.join(found)}." for view, found in FIELDS.items()),
    )
    from_us: RangeInstant | None = Field(
        None,
        alias="from",
        description="Inclusive; a time, or a duration before now such as `-7d`; by default a day"
        " before `to`.",
    )
    to_us: RangeInstant | None = Field(
        None, alias="to", description="Exclusive; like `from`, by default now."
    )
    step: QueryStep | None = Field(
        None, description="Length of steps; without it, there is one row for the whole range."
    )
    time_zone: TimeZone = Field("UTC", description="Zone of hours, days, weeks and months.")
    compare_with: Annotated[
        Any,
        BeforeValidator(_offset),
        WithJsonSchema({"type": ["string", "integer"], "examples": [PREVIOUS, "7d"]}),
    ] = Field(
        None,
        description="Also return the values of an earlier period: `previous`, which ends where"
        " this one begins, or the same range a duration earlier. Days are those of `time_zone`.",
    )
    top: Whole | None = Field(
        None,
        ge=1,
        le=TOP_MAX,
        description="Show this many groups, those with the largest values of `order_by`, or else"
        " of the first measure; all others are combined (`is_other`).",
    )
    order_by: Name | None = Field(
        None,
        description="A measure, a dimension or `start`; with `-` first, the largest come first. By"
        " default `start`, and without steps the first measure, largest first.",
        examples=["-cost_usd"],
    )
    limit: Whole | None = Field(
        None, ge=1, description="Maximum rows of a page; by default as many as are allowed."
    )
    cursor: cursors.CursorText | None = Field(
        None, description="`meta.cursor` of the previous page."
    )
    exact_percentiles: bool = Field(
        False, description="Compute percentiles from all values, not from sketches. It is slower."
    )

    def request(self, project_id: str, at_us: int, settings: QuerySettings) -> QueryRequest:
        """Return what is requested.

        Raises:
            BadRequestError: a name is unknown, a filter is invalid, or fields do not fit together.
        """
        view: Any = self.view
        to_us = at_us if self.to_us is None else self.to_us
        from_us = to_us - DEFAULT_S * SECOND_US if self.from_us is None else self.from_us
        from_s, to_s = range_s(from_us, to_us, self.step, settings)
        limit = settings.query_limit_max if self.limit is None else self.limit
        require_at_most(settings, limit, setting="query_limit_max", field="limit", unit="rows")
        formulas = resolved_formulas(self.formulas)
        shown = tuple(dict.fromkeys(self.measures))
        self._check(shown)
        found = metrics_of(view, shown, formulas)
        groups = tuple(
            group_by_of(view, name, f"group_by.{at}")
            for at, name in enumerate(dict.fromkeys(self.group_by))
        )
        order = self.order_by or ""
        return QueryRequest(
            project_id,
            view,
            from_s,
            to_s,
            self.step,
            self.time_zone,
            shown,
            found,
            formulas,
            groups,
            self._conditions(view),
            order.removeprefix("-"),
            order.startswith("-"),
            self.top,
            self._compared(),
            limit,
            self.cursor,
            self.exact_percentiles,
        )

    def _check(self, shown: tuple[str, ...]) -> None:
        if not shown and not self.formulas:
            raise BadRequestError(
                "measures: at least one measure or formula is required", field="measures"
            )
        if self.top is not None and not self.group_by:
            raise BadRequestError("top: requires group_by", field="top")
        if self.top is not None and self.cursor is not None:
            raise BadRequestError(
                "cursor: is not allowed with `top`, which has no pages", field="cursor"
            )
        taken = next((name for name in self.formulas if name in MEASURES[self.view]), None)
        if taken is not None:
            field = f"formulas.{taken}"
            raise BadRequestError(f"{field}: it is the name of a measure", field=field)

    def _conditions(self, view: View) -> tuple[Condition, ...]:
        named = [values_condition(view, name, values) for name, values in self.filter.items()]
        given = [
            condition_of(view, each.field, each.operator, each.value, each.key, f"filters.{at}")
            for at, each in enumerate(self.filters)
        ]
        return (*named, *given)

    def _compared(self) -> Compared | None:
        if self.compare_with is None:
            return None
        return Compared(None if self.compare_with == PREVIOUS else self.compare_with)
