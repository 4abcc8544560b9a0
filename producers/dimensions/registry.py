"""The registry of dimensions.

Dimensions are defined in the modules of ``producers.dimensions.definitions``. Modules that read the
registry generate code from it when they are imported. A dimension that is defined elsewhere must
therefore be registered before the first read, which closes the registry.
"""

from __future__ import annotations

from typing import Final

from producers.dimensions import definitions
from producers.dimensions.dimension import Dimension
from producers.registration import modules_in

DIMENSIONS_MAX: Final = 64
"""Maximum number of dimensions; it limits the size of keys and rows."""

WINDOW_KEY: Final = (
    *("environment", "model", "name", "type", "level"),
    *("prompt_name", "prompt_version", "provider", "service_tier"),
)
"""Dimensions that are fields of changes of windows; others are sent by name."""
SPEND_KEY: Final = (
    *("user_id", "model", "environment", "session_id", "trace_name", "tags", "user_tier"),
    *("provider", "prompt_name", "api_key"),
)
"""The same for spend."""

_RESERVED: Final = frozenset(
    {
        "project_id", "window_s", "window_start", "bucket_s", "bucket_start", "row_version",
        "observation_count", "error_count", "usage", "total_cost_pico", "total_cost",
        "latency_state_hex", "latency_state", "inserted_at", "from", "to", "step", "group_by",
        "time_zone", "start", "end", "count", "errors", "cost_usd", "tokens", "latency_ms",
        "start_s", "latency_us", "at_s", "begin_s", "from_us", "to_us", "cost_pico", "more",
        "trace_id", "latency_bins", "observations", "ttft_bins", "rate_bins", "unpriced",
        "unpriced_count", "ttft_state", "ttft_state_hex", "rate_state", "rate_state_hex", "cache",
        "cache_exact", "cache_semantic", "cache_miss", "cache_exact_count", "cache_semantic_count",
        "cache_miss_count", "cached_saved", "cached_saved_pico", "app_saved", "app_saved_pico",
        "error_types", "ttft_ms", "output_tokens_per_s",
    }
)  # fmt: skip
"""Names of other columns, parameters and members of responses."""


class Registry:
    """Dimensions by name."""

    def __init__(self) -> None:
        self._dimensions: dict[str, Dimension] = {}
        self._names: dict[str, str] = {}
        self._is_closed = False

    def register(self, dimension: Dimension) -> None:
        """Add a dimension.

        Raises:
            RuntimeError: the registry has already been read.
            ValueError: the name is taken or reserved, or there are too many.
        """
        if self._is_closed:
            raise RuntimeError(f"{dimension.name}: register dimensions before they are read")
        if dimension.name in _RESERVED:
            raise ValueError(f"{dimension.name!r} is the name of another column or parameter")
        for name in (dimension.name, *dimension.aliases):
            if self.name_of(name) in self._dimensions:
                raise ValueError(f"two dimensions are named {name!r}")
        if len(self._dimensions) >= DIMENSIONS_MAX:
            raise ValueError(f"more than {DIMENSIONS_MAX} dimensions")
        self._dimensions[dimension.name] = dimension
        self._names |= dict.fromkeys(dimension.aliases, dimension.name)

    def name_of(self, name: str) -> str:
        """Return the name of the dimension that has an alias; other texts are returned as is."""
        return self._names.get(name, name)

    def all(self) -> tuple[Dimension, ...]:
        """Return all dimensions in their order, and close the registry."""
        self._is_closed = True
        return tuple(sorted(self._dimensions.values(), key=lambda each: (each.place, each.name)))

    def of_windows(self) -> tuple[Dimension, ...]:
        """Return the dimensions of windows in the order of the keys of cells."""
        return self._keyed(WINDOW_KEY, [each for each in self.all() if each.in_windows])

    def of_spend(self) -> tuple[Dimension, ...]:
        """Return the dimensions of spend in the order of the keys of cells."""
        return self._keyed(SPEND_KEY, [each for each in self.all() if each.in_spend])

    def _keyed(self, first: tuple[str, ...], found: list[Dimension]) -> tuple[Dimension, ...]:
        others = [each for each in found if each.name not in first]
        return (*(self._dimensions[name] for name in first), *others)


def _defined() -> Registry:
    registry = Registry()
    for module in modules_in(definitions):
        registry.register(module.DIMENSION)
    return registry


REGISTRY: Final = _defined()
