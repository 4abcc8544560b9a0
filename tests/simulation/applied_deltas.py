"""Apply deltas once each, as stage 2 does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from streams.core.dimensions.keys import spend_key_of_delta, window_key_of_delta
from streams.core.rollups.deltas import Delta
from tests.simulation.project_load import amounts_of


def applied(records: list[list[Delta]]) -> tuple[dict, dict]:
    """Return windows and spend after applying each delta once; repeats of an offset are dropped."""
    windows: dict[tuple, list] = {}
    spend: dict[tuple, list[int]] = defaultdict(lambda: [0] * 7)
    done: dict[tuple[str, int], int] = {}
    for deltas in records:
        for delta in deltas:
            source = (delta.project_id, delta.partition)
            if delta.offset > done.get(source, -1):
                done[source] = delta.offset
                _apply(delta, windows, spend)
    return (
        {key: _without_zeros(cell) for key, cell in windows.items() if cell[0]},
        {key: tuple(cell) for key, cell in spend.items() if any(cell)},
    )


def _apply(delta: Delta, windows: dict[tuple, list], spend: dict[tuple, list[int]]) -> None:
    for each in delta.windows:
        key = (delta.project_id, each.window_s, *window_key_of_delta(each))
        cell = windows.setdefault(key, [0, 0, 0, defaultdict(int), defaultdict(int), Counter()])
        cell[0] += each.observations
        cell[1] += each.errors
        cell[2] += each.cost_pico
        for kind, count in each.usage.items():
            cell[3][kind] += count
        for bin_key, count in each.latency_bins.items():
            cell[4][bin_key] += count
        for measure in (
            *("unpriced", "cache_exact", "cache_semantic", "cache_miss"),
            *("cached_saved_pico", "app_saved_pico"),
        ):
            cell[5][measure] += getattr(each, measure)
        for measure in ("ttft_bins", "rate_bins", "error_types"):
            for name, count in getattr(each, measure).items():
                cell[5][measure, name] += count
    for each in delta.spend:
        cell = spend[delta.project_id, each.bucket_s, *spend_key_of_delta(each)]
        for at, amount in enumerate(amounts_of(each)):
            cell[at] += amount


def _without_zeros(cell: Sequence) -> tuple:
    return (*cell[:3], *({key: count for key, count in part.items() if count} for part in cell[3:]))
