"""Generate Python expressions that read the values of dimensions.

``ObservationState`` has a field for each dimension in ``STATE_FIELDS``, and the tuple
``more`` for the others. Each trace has a tuple with the values of the dimensions from traces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from producers.dimensions.dimension import Dimension, as_is, text_of_value
from producers.dimensions.registry import REGISTRY
from streams.core.dimensions.compiling import compiled, tuple_of
from streams.core.observations.bounding import cut_name
from streams.core.observations.limits import ID_CHARS_MAX

WINDOW_DIMENSIONS: Final = REGISTRY.of_windows()
SPEND_DIMENSIONS: Final = REGISTRY.of_spend()
_ALL: Final = tuple(dict.fromkeys((*WINDOW_DIMENSIONS, *SPEND_DIMENSIONS)))

STATE_FIELDS: Final = ("name", "environment", "model")
"""Dimensions with a field in ``ObservationState``; their lengths are already limited."""
OF_OBSERVATIONS: Final = tuple(
    each
    for each in _ALL
    if each.observation_field is not None and each.observation_field not in STATE_FIELDS
)
"""Dimensions with a value in ``more``."""
OF_TRACES: Final = tuple(each for each in _ALL if each.trace_field is not None)
"""Dimensions with values from traces."""

SHARED_VALUES_MAX: Final = 10_000
"""Maximum number of tuples that are shared by observations with the same values."""
_SHORT: Final = ("user_id", "session_id", "name")
"""Fields of traces that are read for every trace, and are texts of at most ``ID_CHARS_MAX``."""

TraceValues = tuple[str, ...]
"""Values of ``OF_TRACES``."""


def own_value(dimension: Dimension, observation: str = "state") -> str:
    """Return the expression of an observation's own value; it may be empty."""
    if dimension.observation_field in STATE_FIELDS:
        return f"{observation}.{dimension.observation_field}"
    return f"{observation}.more[{OF_OBSERVATIONS.index(dimension)}]"


def value(dimension: Dimension, own: str, values: str = "values") -> str:
    """Return the expression of a dimension's value.

    Args:
        dimension: the dimension.
        own: expression of the observation's own value.
        values: expression of the values of its trace.
    """
    if dimension.trace_field is None:
        return f"({own} or {dimension.default!r})" if dimension.default else own
    of_trace = f"{values}[{OF_TRACES.index(dimension)}]"
    return of_trace if dimension.observation_field is None else f"({own} or {of_trace})"


def _converted(
    dimensions: Sequence[Dimension], fields: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return an expression that converts fields to values, and the objects that it names."""
    names: dict[str, Any] = {"cut": cut_name}
    parts = []
    for number, (dimension, field) in enumerate(zip(dimensions, fields, strict=True)):
        if dimension.value_of is as_is and dimension.chars_max >= ID_CHARS_MAX:
            parts.append(field)  # a text, which is already bounded
            continue
        names[f"text_{number}"] = dimension.value_of
        parts.append(f"(cut(text_{number}(x), {dimension.chars_max}) if (x := {field}) else '')")
    return tuple_of(parts), names


class _Shared(dict[TraceValues, TraceValues]):
    """Tuples of values; equal ones are one object, because most observations have the same."""

    def __missing__(self, values: TraceValues) -> TraceValues:
        if len(self) >= SHARED_VALUES_MAX:
            self.clear()
        self[values] = values
        return values


def _more_of_row() -> Any:
    fields = [f"row.{each.observation_field}" for each in OF_OBSERVATIONS]
    expression, names = _converted(OF_OBSERVATIONS, fields)
    return compiled("row", f"shared[{expression}]", names | {"shared": _Shared()})


def _field_of_trace(name: str) -> str:
    """Return the expression of a field of a trace."""
    of, _, key = name.partition(".")
    if of == "metadata":
        return f"(fields.metadata.text_of({key!r}) if fields.metadata else '')"
    if name in ("user_id", "tags"):
        return f"fields.{name}"
    latest = f"fields.latest.get({name!r}, NEVER)[1]"
    return f"({latest} or root_name)" if name == "name" else latest


def _trace_values() -> Any:
    parts = []
    names: dict[str, Any] = {"cut": cut_name, "NEVER": (0, "")}
    for number, each in enumerate(OF_TRACES):
        assert each.trace_field is not None
        field = _field_of_trace(each.trace_field)
        if (
            each.value_of is text_of_value
            and each.chars_max >= ID_CHARS_MAX
            and each.trace_field in _SHORT
        ):
            parts.append(f"({field} or {each.default!r})" if each.default else field)
            continue
        names[f"text_{number}"] = each.value_of
        converted = f"cut(text_{number}(x), {each.chars_max}) if (x := {field}) else ''"
        parts.append(f"(({converted}) or {each.default!r})")
    return compiled("fields, root_name", tuple_of(parts), names)


more_of_row: Final[Callable[[Any], tuple[str, ...]]] = _more_of_row()
"""Return the values of ``OF_OBSERVATIONS`` of an observation row."""
trace_values: Final[Callable[[Any, str], TraceValues]] = _trace_values()
"""Return the values of ``OF_TRACES`` from ``TraceFields`` and the name of the root observation."""
