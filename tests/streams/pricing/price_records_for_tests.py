"""Records of prices, as the price book reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from producers.model_patterns import Matching

NOW_US = 1_795_000_000_000_000  # 2026-11-18


@dataclass(frozen=True)
class Tier:
    prices: Mapping[str, int]
    input_above: int | None = None
    service_tiers: Sequence[str] = ()


@dataclass(frozen=True)
class Record:
    id: str
    match: str
    prices: Mapping[str, int]
    project_id: str | None = None
    effective_from_us: int = 0
    tiers: Sequence[Tier] = field(default=())
    matching: Matching = "whole_name"
    created_us: int = 0
