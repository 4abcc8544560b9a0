"""Read from a query string what the page of a dashboard shows: range, environments, variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from producers.documents.kinds.dashboard import Dashboard
from query_api.console.time_ranges import ALL, PRESETS, TimeRange, time_range_of
from query_api.dashboards.bodies import VALUE_CHARS_MAX, VALUES_MAX
from query_api.dashboards.variables import ENVIRONMENT
from query_api.errors import BadRequestError
from query_api.times import SECOND_US

PREFIX: Final = "var."
"""Beginning of the parameter of a variable."""
ENV: Final = "env"


@dataclass(frozen=True, slots=True)
class Control:
    """A dimension whose values can be chosen at the top of the page."""

    parameter: str
    name: str
    """Empty: that of the dimension."""
    dimension: str
    chosen: tuple[str, ...]
    defaults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DashboardState:
    """What a query string selects."""

    range: TimeRange
    default_range: str
    controls: Sequence[Control]
    is_edited: bool = False

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The chosen values by dimension."""
        return {each.dimension: each.chosen for each in self.controls if each.chosen}

    def bounds_us(self, at_us: int) -> tuple[int, int]:
        """Return the bounds of the range at a time."""
        to_us = at_us if self.range.to_us is None else self.range.to_us
        from_us = to_us - PRESETS[self.default_range] * SECOND_US
        return (from_us if self.range.from_us is None else self.range.from_us, to_us)

    @property
    def range_parameters(self) -> dict[str, str]:
        """The parameters of the range; none if it is the default."""
        given = self.range.parameters
        return {} if given == {"range": self.default_range} else given

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query string without what is the default."""
        pairs = list(self.range_parameters.items())
        for each in self.controls:
            if each.chosen != each.defaults:
                pairs += [(each.parameter, value) for value in each.chosen or ("",)]
        return [*pairs, *([("edit", "1")] if self.is_edited else [])]

    @property
    def query(self) -> str:
        return urlencode(self.parameters)

    def with_preset(self, preset: str) -> DashboardState:
        """Return the state with another range."""
        return replace(self, range=TimeRange(preset, None, None))

    def edited(self, is_edited: bool) -> DashboardState:
        return replace(self, is_edited=is_edited)


def state_of(dashboard: Dashboard, parameters: QueryParams, at_us: int) -> DashboardState:
    """Return what a query string selects at a time; what is missing has the default.

    Raises:
        BadRequestError: the range is invalid, or too many values are chosen.
    """
    time_range = time_range_of(parameters, at_us, dashboard.range)
    if time_range.preset == ALL:
        allowed = ", ".join(PRESETS)
        raise BadRequestError(f"range: one of {allowed}, or `from` and `to`", field="range")
    controls = [Control(ENV, "", ENVIRONMENT, _chosen(parameters, ENV, ()))]
    for each in dashboard.variables:
        name = f"{PREFIX}{each.name}"
        chosen = _chosen(parameters, name, each.values)
        controls.append(Control(name, each.name, each.dimension, chosen, each.values))
    return DashboardState(time_range, dashboard.range, controls, parameters.get("edit") == "1")


def _chosen(parameters: QueryParams, name: str, defaults: tuple[str, ...]) -> tuple[str, ...]:
    if name not in parameters:
        return defaults
    given = (each.strip() for each in parameters.getlist(name))
    found = tuple(dict.fromkeys(filter(None, given)))
    if len(found) > VALUES_MAX or any(len(each) > VALUE_CHARS_MAX for each in found):
        message = f"{name}: at most {VALUES_MAX} values of {VALUE_CHARS_MAX} characters"
        raise BadRequestError(message, field=name)
    return found
