"""Measure each stage alone, in one process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage spends on one event: microseconds of processor time."""

    stage: str
    what: str
    us_per_event: float
