"""Defines what a dimension of windows and spend is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

VALUE_CHARS_MAX: Final = 1_000
"""Longest value of a dimension, unless it says otherwise."""


def as_is(text: str) -> str:
    """Return the text itself."""
    return text


def text_of_value(value: Any) -> str:
    """Return a field's value as text, of a number its digits."""
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """A dimension of windows, spend or both.

    Its value is that of the observation where it has one, else that of its trace. Where the trace
    defines it, everything that the trace has counted moves when the trace's value changes.
    """

    name: str
    """Its column in the tables, the query parameter and member of ``group_by`` in ``/v1/windows``,
    and the key in scopes of budgets."""
    observation_field: str | None = None
    """Column of observations that holds the value (a field of ``ObservationRow``)."""
    trace_field: str | None = None
    """Field of traces that holds the value (of ``TraceAttributes``, or ``tags``)."""
    value_of: Callable[[Any], str] = text_of_value
    """Converts a field that is not empty; a pure function."""
    in_windows: bool = False
    in_spend: bool = False
    """Whether it is a dimension of spend, and of the scopes of budgets."""
    default: str = ""
    """Value of what has none; also of rows from before there was the dimension."""
    chars_max: int = VALUE_CHARS_MAX
    """Longest value; longer ones keep their beginning and a hash of the whole."""
    normal_form: Callable[[str], str] = as_is
    """The form that a value is stored in, for values that come in scopes."""
    place: int = 100
    """Its order among others in lists and answers; those alike are ordered by name."""
    filter_description: str = field(default="")
    """Describes the query parameter; empty: a sentence made of the name."""
    scope_description: str | None = None
    """Describes the key in scopes of budgets."""

    def __post_init__(self) -> None:
        """Check the definition.

        Raises:
            ValueError: the dimension has no usable name, no source or no use.
        """
        if not (self.name.isascii() and self.name.isidentifier() and self.name.islower()):
            raise ValueError(f"a dimension's name is in snake case, not {self.name!r}")
        if self.observation_field is None and self.trace_field is None:
            raise ValueError(f"{self.name}: neither observation_field nor trace_field is given")
        if not (self.in_windows or self.in_spend):
            raise ValueError(f"{self.name}: neither in_windows nor in_spend")
        if self.chars_max < _CHARS_MIN or len(self.default) > self.chars_max:
            raise ValueError(f"{self.name}: chars_max is less than {_CHARS_MIN} or the default")


_CHARS_MIN: Final = 64
"""What a hash of the whole and some of a value's beginning need."""
