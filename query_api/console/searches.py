"""Define the lists whose rows are exported, and whose searches are completed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from query_api.console.observation_search import OBSERVATION_SEARCH
from query_api.console.search import Search
from query_api.console.trace_search import TRACE_SEARCH

SEARCHES: Final[Mapping[str, Search]] = MappingProxyType(
    {"traces": TRACE_SEARCH, "observations": OBSERVATION_SEARCH}
)
"""Their searches by name."""
