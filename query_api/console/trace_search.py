"""Define the search of the list of traces."""

from __future__ import annotations

from typing import Final

from query_api.console.search import Field, Search
from query_api.store.columns import TRACE_COLUMNS

TRACE_SEARCH: Final = Search(
    TRACE_COLUMNS,
    {
        "name": Field("name", "matches", dimension="trace_name"),
        "input": Field("input", "matches"),
        "output": Field("output", "matches"),
        "user": Field("userId", dimension="user_id"),
        "session": Field("sessionId"),
        "env": Field("environment", dimension="environment"),
        "tag": Field("tags", "has_any", dimension="tag"),
        "level": Field("level", is_upper=True, dimension="level"),
        "release": Field("release", dimension="release"),
        "version": Field("version", dimension="version"),
        "id": Field("id"),
        "cost": Field("totalCost"),
        "latency": Field("latency", is_duration=True),
        "tokens": Field("totalTokens"),
        "observations": Field("observationCount"),
        "errors": Field("errorCount"),
        "metadata": Field("metadata"),
    },
)
