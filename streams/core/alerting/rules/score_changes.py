"""Define changes of scores, which rules add up like changes of windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from clickhouse.rows import ScoreRow
from streams.core.observations.bounding import cut_name
from streams.core.rollups.deltas import SpendDelta, WindowDelta

VALUE_MAX: Final = 10**15
"""Largest absolute value that counts in a mean, equal to the largest threshold of a rule."""
_PICO: Final = 10**12
_NUMERIC: Final = frozenset({"NUMERIC", "BOOLEAN"})
_CHARS_MAX: Final = 1_000


class ScoreChange(msgspec.Struct, kw_only=True, gc=False):
    """A score that is added, or subtracted if the numbers are negative."""

    environment: str
    score_name: str
    score_source: str
    observations: int
    """Number of scores."""
    values: int
    """Number of scores with a numeric value."""
    value_pico: int
    """The value × 10¹²."""
    score_values: dict[str, int]
    """Number of scores by the text of their value."""
    trace_id: str
    model: str = ""
    """Model of the scored observation; the following fields are also those of the observation."""
    name: str = ""
    prompt_name: str = ""
    prompt_version: str = ""


@dataclass(slots=True)
class ScoreDelta:
    """Changes of scores with the starts of their panes.

    Attributes:
        scores: changes for rules about fields of scores.
        calls: changes for rules about fields of scored observations.
    """

    scores: list[tuple[int, ScoreChange]] = field(default_factory=list)
    calls: list[tuple[int, ScoreChange]] = field(default_factory=list)
    windows: list[WindowDelta] = field(default_factory=list)
    spend: list[SpendDelta] = field(default_factory=list)


def change_of(row: ScoreRow) -> ScoreChange:
    """Return the change that adds a score."""
    value = row.value if row.data_type in _NUMERIC else None
    is_counted = value is not None and abs(value) <= VALUE_MAX
    return ScoreChange(
        environment=row.environment,
        score_name=cut_name(row.name, _CHARS_MAX),
        score_source=row.source,
        observations=1,
        values=int(is_counted),
        value_pico=round(Fraction(Decimal(repr(value))) * _PICO) if is_counted else 0,
        score_values={_text_of(row): 1},
        trace_id=row.trace_id,
    )


def negated(change: ScoreChange) -> ScoreChange:
    """Return the change that subtracts what another one adds."""
    return msgspec.structs.replace(
        change,
        observations=-change.observations,
        values=-change.values,
        value_pico=-change.value_pico,
        score_values={text: -number for text, number in change.score_values.items()},
    )


def _text_of(row: ScoreRow) -> str:
    if row.data_type == "BOOLEAN" and row.value is not None:
        return "true" if row.value else "false"
    if row.data_type == "NUMERIC" and row.value is not None:
        return repr(row.value)
    return cut_name(row.string_value, _CHARS_MAX)
