"""Limits of the query API: what one question may cost, and how many are answered at once."""

from __future__ import annotations

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from producers.control.own_endpoints import own_endpoints


class QuerySettings(BaseSettings):
    """Reaching a limit is answered with 422; where part of an answer is useful it says that it is ``truncated``. Each is counted under its name."""

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_QUERY_", frozen=True, populate_by_name=True
    )

    execution_time_max_s: int = Field(default=10, ge=1, le=600)
    """One query in the store."""
    answer_grace_s: float = Field(default=2.0, gt=0)
    """How much longer than that the store's answer may take to come, when the store itself hangs; after it: 503."""
    rows_to_read_max: int = Field(default=200_000_000, ge=1)
    """Rows that one query may read in the store."""
    bytes_to_read_max: int = Field(default=20_000_000_000, ge=1)
    """Likewise bytes."""
    memory_max_bytes: int = Field(default=2_000_000_000, ge=1)
    """Of one query in the store."""
    final_threads_max: int = Field(default=1, ge=1)
    """Threads with which one query puts versions of rows together: more answer sooner, and cost half as much again."""
    result_rows_max: int = Field(default=50_000, ge=1)
    """Rows of one query's result."""
    result_bytes_max: int = Field(default=64_000_000, ge=1)
    """Likewise bytes."""
    concurrent_queries_max: int = Field(default=16, ge=1)
    """Queries of this process in the store at the same time; further ones wait."""
    queue_wait_max_s: float = Field(default=5.0, gt=0)
    """How long a query waits for its turn; after it: 503."""
    trace_observations_max: int = Field(default=10_000, ge=1)
    """Observations of one trace in one answer; a call tree of more is marked ``truncated``."""
    trace_scores_max: int = Field(default=10_000, ge=1)
    """Scores of one trace in one answer."""
    trace_ids_max: int = Field(default=1_000, ge=1)
    """Observation or score ids that a list of traces names of each; a trace with more is marked ``truncated``."""
    tree_depth_max: int = Field(default=200, ge=1, le=400)
    """Nesting of a call tree in JSON: parsers of clients recurse."""
    window_steps_max: int = Field(default=11_000, ge=1)
    """Steps between ``from`` and ``to``: a week of minutes and some."""
    window_rows_max: int = Field(default=20_000, ge=1)
    """Rows of one answer about windows, over all groups."""
    retry_after_s: int = Field(default=1, ge=1)
    """What a 503 asks the client to wait."""
    readiness_cache_s: float = Field(default=1.0, ge=0)
    """How long an answer about readiness holds."""
    readiness_timeout_s: float = Field(default=2.0, gt=0)
    """One probe of one dependency."""
    readiness_look_interval_s: float = Field(default=1.0, gt=0, le=60)
    """Interval of checking the progress of the streams and the sink."""
    readiness_canary_interval_s: float = Field(default=2.0, gt=0, le=60)
    """A partition that has not grown for this time gets an empty record, to see that it is
    processed."""
    readiness_record_age_max_s: float = Field(default=5.0, gt=0)
    """Age of the oldest record that the streams or the sink have not processed; above it: not
    ready. An event sent while ready is visible within twice this time."""
    body_max_bytes: int = Field(default=65_536, ge=1_024)
    """A request's body: a budget, a webhook."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """From a request's head to the end of its body; after it: 408."""
    budgets_per_project_max: int = Field(default=1_000, ge=1)
    """Budgets of one project."""
    webhooks_per_project_max: int = Field(default=20, ge=1)
    """Webhooks of one project."""
    webhooks_allow_private: bool = Field(
        default=False,
        validation_alias=AliasChoices("TRACEMILL_WEBHOOKS_ALLOW_PRIVATE", "webhooks_allow_private"),
    )
    """Let webhooks point into private networks; the deliveries check the same setting again."""
    webhooks_forbidden_ports: str = Field(
        default="",
        validation_alias=AliasChoices(
            "TRACEMILL_WEBHOOKS_FORBIDDEN_PORTS", "webhooks_forbidden_ports"
        ),
    )
    """Ports that webhooks may not point to in any case; deliveries check the same setting again."""

    @field_validator("webhooks_forbidden_ports")
    @classmethod
    def _parses(cls, texts: str) -> str:
        own_endpoints(texts)
        return texts
