"""Dashboards: charts of a project on one page, with variables that filter them."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from producers.documents.kind import DocumentBody


class Tile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A chart of a dashboard."""

    title: str
    chart: str
    """Kind of the chart, such as ``line``."""
    query: dict[str, Any]
    """Body of ``POST /v1/query``, without a range."""
    width: int = 2
    """In columns of the grid."""
    height: int = 2
    """In rows of the grid."""


class Variable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dimension by which all charts of a dashboard can be filtered."""

    name: str
    dimension: str
    values: tuple[str, ...] = ()
    """The values that are chosen at first; empty: all."""


class Dashboard(DocumentBody, frozen=True, kw_only=True):
    """A dashboard. Tiles are in the order in which they fill the grid."""

    kind: ClassVar = "dashboard"
    per_project_max: ClassVar = 1_000
    is_cached: ClassVar = True

    name: str
    description: str = ""
    range: str = "24h"
    """The range of time at first: its length to now."""
    variables: tuple[Variable, ...] = ()
    tiles: tuple[Tile, ...] = ()
    author: str = ""
    """Public key of who created it."""

    def found_by_name(self) -> str:
        return self.name
