"""Define what a dimension and a measure of a view are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from query_api.store.joins import Join

View = Literal["observations", "traces", "scores"]
Unit = Literal["number", "money", "counts"]
"""``counts`` is a map of counts by type."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension: SQL over the rows of a view, and its columns in windows and spend.

    In SQL of dimensions and measures, ``$key`` stands for the key of a member.
    """

    sql: str
    """Empty: rows do not have it."""
    join: Join | None = None
    window: str = ""
    """Column of windows with the same value; empty: there is none."""
    spend: str = ""
    is_full: bool = False
    """Whether only the table with full texts has its columns."""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value of each row of a view.

    ``windows`` and ``spend`` are SQL of its sum over the rows of these sources; empty: they do not
    have it. ``sketch`` is the column of windows with its distribution.
    """

    sql: str
    join: Join | None = None
    unit: Unit = "number"
    windows: str = ""
    window_columns: tuple[str, ...] = ()
    spend: str = ""
    spend_count: str = ""
    """The same for rows of spend that have counts; ``spend`` is empty."""
    spend_unpriced: str = ""
    """The same for rows of spend that count calls without a price."""
    sketch: str = ""
    sketch_factor: int = 1_000
    """Divisor from the sketch's unit to that of the measure."""
    is_count: bool = False
    """Whether each row counts 1."""
    is_text: bool = False
    """Whether only distinct values are counted."""
    is_always_set: bool = False
    """Whether every row has a value, so that the mean is the sum divided by the count."""
    is_full: bool = False
    """Whether only the table with full texts has its columns."""
    key: str = ""


USAGE: Final = "if(s_id = '', usage, mapFilter((k, v) -> k != 'cost_pico', s_counted))"
"""Usage that counts: a summary, which repeats its descendants, counts only what they do not."""
