"""Define the query API's limits."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, Field, create_model, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from producers.control.own_endpoints import own_endpoints
from producers.control.record import ControlRecord
from producers.control.registry import KINDS, ControlKinds


def _record_limits(kinds: ControlKinds) -> type[BaseModel]:
    """Return a class with the setting ``<plural>_per_project_max`` of each kind that has one."""
    fields: dict[str, Any] = {}
    for record in kinds.values():
        if record.per_project_max is not None:
            about = f"Maximum {record.plural} per project."
            limit = Field(default=record.per_project_max, ge=1, description=about)
            fields[limit_setting(record)] = (int, limit)
    return create_model("RecordLimits", __base__=BaseModel, **fields)


def limit_setting(record: type[ControlRecord]) -> str:
    """Return the name of the setting that limits a project's records of a kind."""
    return f"{record.plural.replace(' ', '_')}_per_project_max"


RecordLimits = _record_limits(KINDS)


class QuerySettings(RecordLimits, BaseSettings):  # type: ignore[valid-type, misc]  # its fields are those of KINDS
    """Limits of the query API, counted under their names when they are reached.

    Requests beyond a limit get 422, or a response that is marked ``truncated``.
    """

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_QUERY_", frozen=True, populate_by_name=True
    )

    execution_time_max_s: int = Field(default=10, ge=1, le=600)
    """Time limit of one query in the store."""
    answer_grace_s: float = Field(default=2.0, gt=0)
    """Additional time for a response of the store, in case it hangs; after it: 503."""
    rows_to_read_max: int = Field(default=200_000_000, ge=1)
    """Maximum rows that one query reads in the store."""
    bytes_to_read_max: int = Field(default=20_000_000_000, ge=1)
    """Maximum bytes that one query reads in the store."""
    memory_max_bytes: int = Field(default=2_000_000_000, ge=1)
    """Memory limit of one query in the store."""
    final_threads_max: int = Field(default=1, ge=1)
    """Threads of one query for merging versions of rows: more are faster, but cost 1.5 times as
    much CPU."""
    result_rows_max: int = Field(default=50_000, ge=1)
    """Maximum rows of one query's result."""
    result_bytes_max: int = Field(default=64_000_000, ge=1)
    """Maximum bytes of one query's result."""
    concurrent_queries_max: int = Field(default=16, ge=1)
    """Maximum concurrent queries of this process; further ones wait."""
    queue_wait_max_s: float = Field(default=5.0, gt=0)
    """Time limit for waiting to run a query; then the response is 503."""
    trace_observations_max: int = Field(default=10_000, ge=1)
    """Maximum observations of a trace per response; larger call trees are marked ``truncated``."""
    trace_scores_max: int = Field(default=10_000, ge=1)
    """Maximum scores of a trace per response."""
    trace_ids_max: int = Field(default=1_000, ge=1)
    """Maximum observation or score ids per trace in lists; traces with more are marked
    ``truncated``."""
    tree_depth_max: int = Field(default=200, ge=1, le=400)
    """Maximum nesting of a call tree in JSON, as clients' parsers recurse."""
    window_steps_max: int = Field(default=11_000, ge=1)
    """Maximum steps between ``from`` and ``to``: a little more than a week of minutes."""
    window_rows_max: int = Field(default=20_000, ge=1)
    """Maximum rows of one response with windows, over all groups."""
    installation_prices_max: int = Field(default=1_000, ge=1)
    """Maximum prices of the installation, which apply to all projects."""
    retry_after_s: int = Field(default=1, ge=1)
    """``Retry-After`` of a 503."""
    readiness_cache_s: float = Field(default=1.0, ge=0)
    """Time for which a result of the readiness check is cached."""
    readiness_timeout_s: float = Field(default=2.0, gt=0)
    """Time limit for checking one dependency."""
    readiness_look_interval_s: float = Field(default=1.0, gt=0, le=60)
    """Interval of checking the progress of the streams and the sink."""
    readiness_canary_interval_s: float = Field(default=2.0, gt=0, le=60)
    """A partition that has not grown for this time gets an empty record, which shows whether
    records are processed."""
    readiness_record_age_max_s: float = Field(default=5.0, gt=0)
    """Maximum age of the oldest record that the streams or the sink have not processed; above it,
    the process is not ready. An event sent while ready is visible within twice this time."""
    body_max_bytes: int = Field(default=65_536, ge=1_024)
    """Maximum size of a request's body."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """Time limit from a request's head to the end of its body; then the response is 408."""
    projects_max: int = Field(default=1_000, ge=1)
    """Maximum projects of the installation, without deleted ones."""
    key_overlap_max_s: int = Field(default=604_800, ge=0)
    """Maximum time for which the previous secret stays valid after a rotation."""
    webhooks_allow_private: bool = Field(
        default=False,
        validation_alias=AliasChoices("TRACEMILL_WEBHOOKS_ALLOW_PRIVATE", "webhooks_allow_private"),
    )
    """Allow webhooks in private networks; deliveries check the same setting again."""
    webhooks_forbidden_ports: str = Field(
        default="",
        validation_alias=AliasChoices(
            "TRACEMILL_WEBHOOKS_FORBIDDEN_PORTS", "webhooks_forbidden_ports"
        ),
    )
    """Ports that webhooks must not use; deliveries check the same setting again."""

    @field_validator("webhooks_forbidden_ports")
    @classmethod
    def _parses(cls, texts: str) -> str:
        own_endpoints(texts)
        return texts
