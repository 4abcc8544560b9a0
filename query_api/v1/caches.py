"""Show what prompt caches and caches of the application saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, Self

import msgspec

from producers.token_sides import INPUT, is_cached_input, side_of
from query_api.money import pico_of, usd_text


class CacheAmounts(Protocol):
    """The columns ``query_api.store.window_measures.OF_CACHES`` of a row."""

    @property
    def tokens(self) -> Mapping[str, int]: ...
    @property
    def cache_exact(self) -> int: ...
    @property
    def cache_semantic(self) -> int: ...
    @property
    def cache_miss(self) -> int: ...
    @property
    def cached_saved_usd(self) -> str: ...
    @property
    def app_saved_usd(self) -> str: ...


class PromptCache(msgspec.Struct, kw_only=True, gc=False):
    """Tokens that providers read from prompt caches.

    ``saved_usd`` compares with the price of the same calls without a cache; surcharges for writing
    to the cache are subtracted.
    """

    input_tokens: int
    """All input tokens, including those read from a cache or written to one."""
    cached_tokens: int
    hit_ratio: float | None
    """Null if there are no input tokens."""
    saved_usd: str


class ApplicationCache(msgspec.Struct, kw_only=True, gc=False):
    """Observations that state how a cache of the application answered.

    ``saved_usd`` is what the price list would have charged for those that it answered. Those
    without a known price save nothing.
    """

    exact: int
    semantic: int
    miss: int
    hit_rate: float | None
    """Null if no observation states it."""
    saved_usd: str


class Caches(msgspec.Struct, gc=False):
    """Both kinds of caches."""

    prompt: PromptCache
    application: ApplicationCache


class CacheTotals:
    """The sum of rows."""

    def __init__(self) -> None:
        self._input = self._cached = self._exact = self._semantic = self._miss = 0
        self._prompt_pico = self._app_pico = 0

    @classmethod
    def of(cls, rows: Iterable[CacheAmounts]) -> Self:
        """Return the sum of ``rows``."""
        totals = cls()
        for row in rows:
            totals.add(row)
        return totals

    def add(self, row: CacheAmounts) -> None:
        """Add a row."""
        for usage_type, count in row.tokens.items():
            if side_of(usage_type) == INPUT:
                self._input += count
            if is_cached_input(usage_type):
                self._cached += count
        self._exact += row.cache_exact
        self._semantic += row.cache_semantic
        self._miss += row.cache_miss
        self._prompt_pico += pico_of(row.cached_saved_usd)
        self._app_pico += pico_of(row.app_saved_usd)

    def shown(self) -> Caches:
        """Return the sums with ratios."""
        hits = self._exact + self._semantic
        return Caches(
            PromptCache(
                input_tokens=self._input,
                cached_tokens=self._cached,
                hit_ratio=_ratio(self._cached, self._input),
                saved_usd=usd_text(self._prompt_pico),
            ),
            ApplicationCache(
                exact=self._exact,
                semantic=self._semantic,
                miss=self._miss,
                hit_rate=_ratio(hits, hits + self._miss),
                saved_usd=usd_text(self._app_pico),
            ),
        )


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole > 0 else None
