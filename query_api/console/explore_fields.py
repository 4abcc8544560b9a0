"""List the measures and dimensions of ``/v1/query`` that the form of Explore offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, get_args

from query_api.query.dimension import View
from query_api.query.native_fields import DIMENSIONS, MEASURES

VIEWS: Final[tuple[View, ...]] = get_args(View)
_PERCENTILES: Final = ("p50", "p90", "p95", "p99")


def _offered(view: View) -> Iterable[tuple[str, tuple[str, ...]]]:
    for name, native in MEASURES[view].items():
        if name == "tokens":
            for side in ("tokens.input", "tokens.output"):
                yield side, _aggregations(side, ("avg", "max", "percentile"), bare=True)
        else:
            yield name, _aggregations(name, native.others, bare=bool(native.default))


def _aggregations(name: str, others: Sequence[str], *, bare: bool) -> tuple[str, ...]:
    found = [name] if bare else []
    for each in others:
        if each == "percentile":
            found += [f"{name}.{level}" for level in _PERCENTILES]
        elif each in {"avg", "min", "max"}:
            found.append(f"{name}.{each}")
    return tuple(found)


OFFERED: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {view: MappingProxyType(dict(_offered(view))) for view in VIEWS}
)
"""Measures with all their aggregations that the form offers, by view."""
HISTOGRAMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        view: tuple(
            f"{name}.histogram" for name, native in MEASURES[view].items()
            if "histogram" in native.others
        )
        + (("tokens.input.histogram", "tokens.output.histogram") if view != "scores" else ())
        for view in VIEWS
    }
)  # fmt: skip
"""Measures whose values have a distribution, by view."""
DIMENSIONS_OFFERED: Final[Mapping[View, tuple[str, ...]]] = MappingProxyType(
    {
        view: tuple(name for name in DIMENSIONS[view] if name not in {"id", "parent_id"})
        for view in VIEWS
    }
)
"""Dimensions that the form offers, by view."""
