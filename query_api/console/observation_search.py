"""Define the search of the list of observations."""

from __future__ import annotations

from typing import Final

from query_api.console.search import Field, Search
from query_api.store.columns import OBSERVATION_COLUMNS

OBSERVATION_SEARCH: Final = Search(
    OBSERVATION_COLUMNS,
    {
        "name": Field("name", "matches", dimension="name"),
        "type": Field("type", is_upper=True, dimension="type"),
        "model": Field("model", dimension="model"),
        "level": Field("level", is_upper=True, dimension="level"),
        "input": Field("input", "matches"),
        "output": Field("output", "matches"),
        "status": Field("statusMessage", "matches"),
        "user": Field("userId", dimension="user_id"),
        "session": Field("sessionId"),
        "env": Field("environment", dimension="environment"),
        "trace": Field("traceId"),
        "tag": Field("traceTags", "has_any", dimension="tag"),
        "prompt": Field("promptName", dimension="prompt_name"),
        "promptversion": Field("promptVersion"),
        "version": Field("version", dimension="version"),
        "service": Field("serviceName"),
        "id": Field("id"),
        "cost": Field("totalCost"),
        "latency": Field("latency", is_duration=True),
        "ttft": Field("timeToFirstToken", is_duration=True),
        "speed": Field("tokensPerSecond"),
        "tokens": Field("totalTokens"),
        "metadata": Field("metadata"),
    },
)
