"""Define the rows of ``/v1/windows``, and which measures each of their fields needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from query_api.errors import BadRequestError
from query_api.money import pico_of, usd_text
from query_api.store.queries.windows import WINDOW_DIMENSIONS
from query_api.store.steps import end_s
from query_api.store.window_measures import OF_CACHES
from query_api.times import SECOND_US, iso
from query_api.v1.caches import Caches, CacheTotals

DIMENSIONS: Final = tuple(each.name for each in WINDOW_DIMENSIONS)

FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "count": ("count",),
        "errors": ("errors",),
        "cost_usd": ("cost_usd",),
        "tokens": ("tokens",),
        "latency_ms": ("latency_ms",),
        "ttft_ms": ("ttft_ms",),
        "output_tokens_per_s": ("output_tokens_per_s",),
        "unpriced": ("unpriced",),
        "error_types": ("error_types",),
        "cache": OF_CACHES,
    }
)
"""Measures of ``query_api.store.window_measures`` that each field is computed from."""
_SHORT: Final[Mapping[str, str]] = MappingProxyType(
    {"cost": "cost_usd", "latency": "latency_ms", "ttft": "ttft_ms"}
)
_EMPTY: Final = msgspec.UNSET


class Percentiles(msgspec.Struct, gc=False):
    """Percentiles; null if no observation has the value."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class _Step(msgspec.Struct, kw_only=True, gc=False):
    start: str
    end: str


if TYPE_CHECKING:
    GroupedStep = _Step
else:
    GroupedStep = msgspec.defstruct(
        "GroupedStep",
        [(name, str | msgspec.UnsetType, msgspec.UNSET) for name in DIMENSIONS],
        bases=(_Step,),
        kw_only=True,
        gc=False,
    )


class WindowOut(GroupedStep, kw_only=True, gc=False):
    """A step of a group, with the fields that the request selects; by default with all."""

    count: int | msgspec.UnsetType = _EMPTY
    errors: int | msgspec.UnsetType = _EMPTY
    cost_usd: str | msgspec.UnsetType = _EMPTY
    tokens: dict[str, int] | msgspec.UnsetType = _EMPTY
    latency_ms: Percentiles | msgspec.UnsetType = _EMPTY
    """Milliseconds from start to end."""
    ttft_ms: Percentiles | msgspec.UnsetType = _EMPTY
    """Milliseconds from the start to the first output token."""
    output_tokens_per_s: Percentiles | msgspec.UnsetType = _EMPTY
    """Output tokens divided by the seconds from start to end."""
    unpriced: int | msgspec.UnsetType = _EMPTY
    """Observations with usage but without a price."""
    error_types: dict[str, int] | msgspec.UnsetType = _EMPTY
    """Errors by class."""
    cache: Caches | msgspec.UnsetType = _EMPTY


class _Amounts(msgspec.Struct, gc=False):
    start_s: int
    count: int = 0
    errors: int = 0
    error_types: dict[str, int] = {}
    cost_usd: str = "0"
    unpriced: int = 0
    tokens: dict[str, int] = {}
    latency_ms: Percentiles | msgspec.UnsetType = _EMPTY
    ttft_ms: Percentiles | msgspec.UnsetType = _EMPTY
    output_tokens_per_s: Percentiles | msgspec.UnsetType = _EMPTY
    cache_exact: int = 0
    cache_semantic: int = 0
    cache_miss: int = 0
    cached_saved_usd: str = "0"
    app_saved_usd: str = "0"


if TYPE_CHECKING:
    WindowRow = _Amounts
else:
    WindowRow = msgspec.defstruct(
        "WindowRow",
        [(name, str, "") for name in DIMENSIONS],
        bases=(_Amounts,),
        module=__name__,
        gc=False,
    )


def fields_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the selected fields, in the order of responses; all if none is selected.

    Raises:
        BadRequestError: there is no field of that name.
    """
    named = [part.strip() for text in texts for part in text.split(",")]
    selected = {_SHORT.get(name, name) for name in named if name}
    unknown = [name for name in named if name and _SHORT.get(name, name) not in FIELDS]
    if unknown:
        message = f"fields: {unknown[0][:64]!r} is not one of {', '.join(FIELDS)}"
        raise BadRequestError(message, field="fields", allowed=tuple(FIELDS))
    return tuple(name for name in FIELDS if not selected or name in selected)


def measures_of(fields: Iterable[str]) -> tuple[str, ...]:
    """Return the measures that fields are computed from."""
    return tuple(dict.fromkeys(measure for field in fields for measure in FIELDS[field]))


def shown_rows(
    rows: Iterable[WindowRow],
    bounds_s: Sequence[int],
    dimensions: Sequence[str],
    fields: Sequence[str],
) -> list[WindowOut]:
    """Return the rows of a response."""
    steps: dict[int, tuple[str, str]] = {}
    of_fields = [(field, _SHOWN[field]) for field in fields]
    data = []
    for row in rows:
        step = steps.get(row.start_s)
        if step is None:
            end = iso(end_s(bounds_s, row.start_s) * SECOND_US)
            step = steps[row.start_s] = (iso(row.start_s * SECOND_US), end)
        given: dict[str, Any] = {name: getattr(row, name) for name in dimensions}
        for field, shown in of_fields:
            given[field] = shown(row)
        data.append(WindowOut(start=step[0], end=step[1], **given))
    return data


_SHOWN: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "count": lambda row: row.count,
        "errors": lambda row: row.errors,
        "cost_usd": lambda row: usd_text(pico_of(row.cost_usd)),
        "tokens": lambda row: row.tokens,
        "latency_ms": lambda row: row.latency_ms,
        "ttft_ms": lambda row: row.ttft_ms,
        "output_tokens_per_s": lambda row: row.output_tokens_per_s,
        "unpriced": lambda row: row.unpriced,
        "error_types": lambda row: row.error_types,
        "cache": lambda row: CacheTotals.of([row]).shown(),
    }
)
