"""Count the measures that only some observations have: first tokens, token rates, caches, errors.

A change with ``sign`` −1 is the exact inverse of one with +1, so that corrections leave nothing
behind.
"""

from __future__ import annotations

from typing import Final

from producers.usage_units import INPUT_TOKEN_UNITS, TOKEN_UNITS, unit_of
from streams.core.observations.limits import ERROR_TYPES_MAX, OTHER_ERROR
from streams.core.observations.state import ObservationState
from streams.core.rollups.deltas import WindowDelta
from streams.core.rollups.sketch import key_of

RATE_SCALE: Final = 1_000
"""Sketches of rates contain output tokens per second × 1,000: 0.001/s is the lowest positive."""
NO_ERROR_TYPE: Final = "unknown"
"""Class of errors that report none."""
_OUTPUT_UNITS: Final = TOKEN_UNITS - INPUT_TOKEN_UNITS
_TYPES_MAX: Final = 4_096


class _OutputTypes(dict[str, bool]):
    """A cache of whether usage types are output tokens."""

    def __missing__(self, usage_type: str) -> bool:
        found = unit_of(usage_type) in _OUTPUT_UNITS
        if len(self) < _TYPES_MAX:
            self[usage_type] = found
        return found


_is_output: Final = _OutputTypes()


def count_error(change: WindowDelta, error_type: str, sign: int) -> None:
    """Count an error under its class, or under ``OTHER_ERROR`` if there are too many."""
    add_error(change.error_types, error_type or NO_ERROR_TYPE, sign)


def add_error(counts: dict[str, int], error_type: str, count: int) -> None:
    """Add to the count of a class, or to ``OTHER_ERROR`` if there are ``ERROR_TYPES_MAX``."""
    if error_type not in counts and len(counts) >= ERROR_TYPES_MAX:
        error_type = OTHER_ERROR
    counts[error_type] = counts.get(error_type, 0) + count


def count_first_token(change: WindowDelta, state: ObservationState, sign: int) -> None:
    """Count the time from the start to the first output token."""
    bins = change.ttft_bins
    key = key_of(state.first_us - state.start_us)
    bins[key] = bins.get(key, 0) + sign


def count_rate(change: WindowDelta, state: ObservationState, sign: int) -> None:
    """Count output tokens per second, from start to end.

    Observations without output tokens or duration have no rate, and neither have summaries, whose
    tokens are those of their descendants.
    """
    duration_us = state.end_us - state.start_us
    if duration_us <= 0 or state.reported is not None:
        return
    output = 0
    for usage_type, count in state.usage.items():
        if _is_output[usage_type]:
            output += count
    if output > 0:
        bins = change.rate_bins
        key = key_of(output * (1_000_000 * RATE_SCALE) / duration_us)
        bins[key] = bins.get(key, 0) + sign


def count_caches(change: WindowDelta, state: ObservationState, sign: int) -> None:
    """Count how a cache of the application answered, and what caches saved.

    Summaries save nothing: their descendants do.
    """
    saved_pico = 0 if state.reported is not None else sign * state.saved_pico
    if state.app_cache == "exact":
        change.cache_exact += sign
        change.app_saved_pico += saved_pico
    elif state.app_cache == "semantic":
        change.cache_semantic += sign
        change.app_saved_pico += saved_pico
    else:
        change.cached_saved_pico += saved_pico
        if state.app_cache:
            change.cache_miss += sign


def has_measures(change: WindowDelta) -> bool:
    """Return whether a change has any of these measures."""
    return bool(
        change.rate_bins
        or change.ttft_bins
        or change.error_types
        or change.unpriced
        or change.cached_saved_pico
        or change.app_saved_pico
        or change.cache_exact
        or change.cache_semantic
        or change.cache_miss
    )


def drop_zeros(change: WindowDelta) -> None:
    """Remove counts that cancelled out."""
    for bins in ("ttft_bins", "rate_bins", "error_types"):
        counts = getattr(change, bins)
        if counts:
            setattr(change, bins, {key: count for key, count in counts.items() if count})
