"""Define dimensions of windows and spend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

VALUE_CHARS_MAX: Final = 1_000
"""Default of ``Dimension.chars_max``."""


def as_is(text: str) -> str:
    """Return the text itself."""
    return text


def text_of_value(value: Any) -> str:
    """Return a field's value as text."""
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """A dimension of windows, spend or both.

    Its value is that of the observation if it has one, and otherwise that of its trace. If the
    value of a trace changes, everything that was counted under the previous value is re-attributed.
    """

    name: str
    """Name of its column in tables, its query parameter and value of ``group_by`` in
    ``/v1/windows``, and its key in scopes of budgets."""
    observation_field: str | None = None
    """Column of observations with the value (a field of ``ObservationRow``)."""
    trace_field: str | None = None
    """Field of traces with the value: a field of ``TraceAttributes``, ``metadata.`` with a key of
    the metadata, or ``name``, which is that of the root observation if the trace has none."""
    value_of: Callable[[Any], str] = text_of_value
    """A pure function that converts the field to the value; it is not called for an empty field."""
    in_windows: bool = False
    """Whether it is a dimension of windows."""
    in_spend: bool = False
    """Whether it is a dimension of spend and of scopes of budgets."""
    is_array: bool = False
    """Whether a value is a JSON array of texts (``producers.dimensions.arrays``). A scope with a
    text then matches the arrays that contain it."""
    default: str = ""
    """Value if neither the observation nor its trace has one; also the value of rows that are older
    than the dimension."""
    chars_max: int = VALUE_CHARS_MAX
    """Maximum length of a value; a longer one is replaced by its beginning and a hash."""
    normal_form: Callable[[str], str] = as_is
    """A function that converts values in scopes of budgets to the form of stored values."""
    values: tuple[str, ...] = ()
    """The only values of events; empty: any. Filters of alert rules accept no others."""
    aliases: tuple[str, ...] = ()
    """Other names that scopes, filters and groups of requests may have."""
    place: int = 100
    """Sort key in lists and responses; dimensions with the same key are sorted by name."""
    filter_description: str = field(default="")
    """Description of the query parameter; empty: it is derived from the name."""
    scope_description: str | None = None
    """Description of the key in scopes of budgets."""

    def __post_init__(self) -> None:
        """Check the definition.

        Raises:
            ValueError: the dimension has an invalid name, no source or no use.
        """
        if not (self.name.isascii() and self.name.isidentifier() and self.name.islower()):
            raise ValueError(f"the name of a dimension must be in snake case: {self.name!r}")
        if self.observation_field is None and self.trace_field is None:
            raise ValueError(f"{self.name}: set observation_field or trace_field")
        if not (self.in_windows or self.in_spend):
            raise ValueError(f"{self.name}: set in_windows or in_spend")
        if self.chars_max < _CHARS_MIN or len(self.default) > self.chars_max:
            raise ValueError(f"{self.name}: chars_max is less than {_CHARS_MIN} or the default")


_CHARS_MIN: Final = 64
"""Minimum of ``chars_max``: a hash and the beginning of a value."""
