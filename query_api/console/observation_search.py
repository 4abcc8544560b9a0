"""Define the search of the list of observations."""

from __future__ import annotations

from typing import Final

from query_api.console.search import Field, Search
from query_api.query.native_filters import FIELDS
from query_api.store.columns import OBSERVATION_COLUMNS
from query_api.store.conditions import Column, Kind

_OF_QUERY: Final = ("trace_version", "provider", "service_tier", "api_key", "error_type")
"""Columns that only filters of `/v1/query` have."""
_COLUMNS: Final = {
    **OBSERVATION_COLUMNS,
    **{each: FIELDS["observations"][each] for each in _OF_QUERY},
    "promptVersion": Column("nullIf(prompt_version, 0)", Kind.NUMBER),
}

OBSERVATION_SEARCH: Final = Search(
    _COLUMNS,
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
        "tracename": Field("traceName", dimension="trace_name"),
        "tag": Field("traceTags", "has_any", dimension="tag"),
        "prompt": Field("promptName", dimension="prompt_name"),
        "promptversion": Field("promptVersion"),
        "version": Field("version", dimension="version"),
        "release": Field("release", dimension="release"),
        "traceversion": Field("trace_version", dimension="trace_version"),
        "service": Field("serviceName"),
        "provider": Field("provider", dimension="provider"),
        "tier": Field("service_tier", dimension="service_tier"),
        "apikey": Field("api_key", dimension="api_key"),
        "error": Field("error_type"),
        "parent": Field("parentObservationId"),
        "id": Field("id"),
        "cost": Field("totalCost"),
        "latency": Field("latency", is_duration=True),
        "ttft": Field("timeToFirstToken", is_duration=True),
        "speed": Field("tokensPerSecond"),
        "tokens": Field("totalTokens"),
        "metadata": Field("metadata"),
    },
)
