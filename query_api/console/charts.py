"""Define charts, which the macro ``chart`` of ``charts.html`` renders and ``chart.js`` draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from query_api.console.formats import Formats

Unit = Literal["number", "usd", "duration", "percent"]
"""What values are: counts, US dollars, microseconds, or fractions of one."""
Kind = Literal["line", "dashed", "bar", "stacked"]
"""``stacked`` bars of a chart stand on each other; ``dashed`` is a line such as a limit."""
Color = Literal["accent", "generation", "tool", "agent", "retriever", "span", "bad", "warn", "good"]
"""A custom property of the style sheet."""
ROWS_MAX: Final = 2_000
"""Maximum number of points that a chart has; callers choose steps that are long enough."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of a chart; their number is that of the rows."""

    name: str
    """The template may show another name for it, in the language of the viewer."""
    values: Sequence[float | None]
    kind: Kind = "line"
    color: Color = "generation"


@dataclass(frozen=True, slots=True)
class Step:
    """The horizontal place of a row: a period, or a category, whose times are zero."""

    label: str
    start_us: int = 0
    end_us: int = 0
    href: str = ""
    """Where the point leads; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over steps. The page has them as a table, which the script draws."""

    unit: Unit
    steps: Sequence[Step]
    series: Sequence[Series]
    has_zoom: bool = True
    """Whether dragging selects a range, by the parameters ``from`` and ``to`` of the page."""
    live: str = ""
    """Name by which a script finds the chart to add values while they arrive."""

    def __post_init__(self) -> None:
        assert len(self.steps) <= ROWS_MAX
        assert all(len(each.values) == len(self.steps) for each in self.series)

    @property
    def is_of_time(self) -> bool:
        return all(each.end_us for each in self.steps)

    def text_of(self, formats: Formats, value: float | None) -> str:
        """Return a value as people read it."""
        return _TEXTS[self.unit](formats, value)


def _usd(formats: Formats, value: float | None) -> str:
    return formats.usd(None if value is None else round(value * 10**12))


_TEXTS: Final[Mapping[Unit, Callable[[Formats, float | None], str]]] = {
    "number": Formats.number,
    "usd": _usd,
    "duration": Formats.duration,
    "percent": Formats.percent,
}
