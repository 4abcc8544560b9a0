"""Define the query API's limits."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, Field, create_model, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from producers.control.own_endpoints import own_endpoints
from producers.control.record import ControlRecord
from producers.control.registry import KINDS, ControlKinds
from producers.documents.registry import DOCUMENT_KINDS, DocumentKinds


def _record_limits(kinds: ControlKinds, documents: DocumentKinds) -> type[BaseModel]:
    """Return a class with the setting ``<plural>_per_project_max`` of each kind that has one."""
    fields: dict[str, Any] = {}
    for body in documents.values():
        about = f"Maximum number of {body.plural} of a project; above it: 409."
        fields[body.limit_setting()] = (
            int,
            Field(default=body.per_project_max, ge=1, description=about),
        )
    for record in kinds.values():
        if record.per_project_max is not None:
            about = f"Maximum number of {record.plural} of a project; above it: 409."
            limit = Field(default=record.per_project_max, ge=1, description=about)
            fields[limit_setting(record)] = (int, limit)
    return create_model("RecordLimits", __base__=BaseModel, **fields)


def limit_setting(record: type[ControlRecord]) -> str:
    """Return the name of the setting that limits a project's records of a kind."""
    return f"{record.plural.replace(' ', '_')}_per_project_max"


RecordLimits = _record_limits(KINDS, DOCUMENT_KINDS)


class QuerySettings(RecordLimits, BaseSettings):  # type: ignore[valid-type, misc]  # its fields are those of the kinds
    """Limits of the query API; a metric counts how often each is reached.

    A request that exceeds a limit gets a 422 response, or one that is marked ``truncated``, unless
    the limit's description states another status.
    """

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_QUERY_", frozen=True, populate_by_name=True
    )

    late_after_h: int = Field(default=24, ge=1)
    """Age above which events are listed as late; that of ``TRACEMILL_PROJECTS_LATENESS_H``."""
    execution_time_max_s: int = Field(default=10, ge=1, le=600)
    """Time limit of one query in the store."""
    answer_grace_s: float = Field(default=2.0, gt=0)
    """Additional time for a response of the store, in case it hangs; after it: 503."""
    export_rows_max: int = Field(default=1_000_000, ge=1)
    """Maximum number of rows of an export."""
    exports_max: int = Field(default=32, ge=1)
    """Maximum number of exports that a process sends at the same time; above it: 503. Each keeps up
    to ``result_bytes_max`` of its rows in memory, also while its client does not read; for
    Parquet, also a row group of 8 MB."""
    exports_per_project_max: int = Field(default=4, ge=1)
    """The same for a project."""
    rows_to_read_max: int = Field(default=200_000_000, ge=1)
    """Maximum number of rows that one query reads in the store."""
    bytes_to_read_max: int = Field(default=20_000_000_000, ge=1)
    """Maximum number of bytes that one query reads in the store."""
    memory_max_bytes: int = Field(default=2_000_000_000, ge=1)
    """Memory limit of one query in the store."""
    final_threads_max: int = Field(default=1, ge=1)
    """Threads of one query that read rows and merge their versions. More threads are faster, but
    use up to 1.5 times the CPU time."""
    final_threads_long_max: int = Field(default=2, ge=1)
    """The same for sums and percentiles over rows of more than two days, which read much."""
    result_rows_max: int = Field(default=50_000, ge=1)
    """Maximum number of rows in the result of one query."""
    result_bytes_max: int = Field(default=64_000_000, ge=1)
    """Maximum size of the result of one query."""
    concurrent_queries_max: int = Field(default=16, ge=1)
    """Maximum number of concurrent queries of this process; additional queries wait."""
    queue_wait_max_s: float = Field(default=5.0, gt=0)
    """Maximum time that a query waits; after it: 503."""
    trace_observations_max: int = Field(default=10_000, ge=1)
    """Maximum number of observations of a trace in a response; larger call trees are marked
    ``truncated``."""
    trace_scores_max: int = Field(default=10_000, ge=1)
    """Maximum number of scores of a trace in a response."""
    trace_ids_max: int = Field(default=1_000, ge=1)
    """Maximum number of observation ids, and of score ids, of each trace in lists; traces with more
    are marked ``truncated``."""
    media_dir: str = ""
    """Directory with the content of media. All query processes must share it. Empty: media are
    refused. `tracemill up` uses ``media`` in its data directory."""
    media_url: str = Field(default="", pattern=r"^(s3://[^/]+(/.*)?)?$")
    """Bucket with the content of media, as ``s3://bucket/prefix``, instead of a directory. Clients
    upload to it directly. ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` and
    ``AWS_SECRET_ACCESS_KEY`` are those of the cold volume; the key may read, write, list and delete
    in the bucket."""
    media_endpoint_url: str = ""
    """Address of the S3 API in the URLs of media, if clients cannot reach ``AWS_ENDPOINT_URL``."""
    media_request_timeout_s: float = Field(default=10.0, gt=0)
    """Maximum time of a request to the bucket; after it: 503."""
    media_max_bytes: int = Field(default=100 * 1024 * 1024, ge=1)
    """Maximum size of the content of media; above it: 400."""
    media_uploads_max: int = Field(default=16, ge=1)
    """Maximum number of concurrent uploads of this process; above it: 503."""
    media_upload_timeout_s: float = Field(default=300.0, gt=0)
    """Maximum time of one upload; after it: 408."""
    media_url_valid_s: int = Field(default=3_600, ge=1, le=7 * 86_400)
    """Time for which the URLs of media are valid."""
    public_url: str = ""
    """Address of this server in the URLs of media; empty: that to which a request was sent."""
    session_traces_max: int = Field(default=1_000, ge=1)
    """Maximum number of traces of a session in a response of the Langfuse API."""
    owner_score_names_max: int = Field(default=50, ge=1, le=1_000)
    """Maximum number of names of scores of each user or session in responses, those with most
    scores."""
    tree_depth_max: int = Field(default=200, ge=1, le=400)
    """Maximum depth of a call tree in JSON, which protects recursive parsers of clients."""
    window_steps_max: int = Field(default=11_000, ge=1)
    """Maximum number of steps between ``from`` and ``to``; the default is a week of minutes."""
    window_rows_max: int = Field(default=20_000, ge=1)
    """Maximum number of rows in a response of ``/v1/windows``, and of ``/v1/query`` with ``top`` or
    ``compare_with``."""
    query_range_max_days: int = Field(default=1_100, ge=1)
    """Maximum length of the range of ``/v1/query``, in days."""
    query_limit_max: int = Field(default=1_000, ge=1)
    """Maximum rows of a page of ``/v1/query``."""
    query_volumes_cache_s: float = Field(default=10.0, ge=0)
    """Time for which ``/v1/query`` caches the time ranges of the hot and the cold volume."""
    backtest_range_max_s: int = Field(default=7 * 86_400, ge=10)
    """Maximum length of the range of a backtest, in seconds."""
    budget_backtest_range_max_s: int = Field(default=31 * 86_400, ge=900)
    """Maximum length of the range of a backtest of a budget, in seconds."""
    budget_backtest_groups_max: int = Field(default=50, ge=1)
    """Groups of a budget that a backtest evaluates; those with the most spend in the range."""
    backtest_rows_max: int = Field(default=200_000, ge=1)
    """Maximum number of stored sums that a backtest reads."""
    backtest_part_s: int = Field(default=6 * 3_600, ge=900, multiple_of=900)
    """Part of the range that one query of a backtest reads, in seconds."""
    backtest_time_max_s: float = Field(default=20.0, gt=0)
    """Time limit of the evaluation of a backtest."""
    metrics_cache_s: float = Field(default=5.0, ge=0, le=300)
    """Time for which the metrics of a project are cached."""
    metrics_models_max: int = Field(default=50, ge=1)
    """Maximum models in the metrics of a project; those with fewer calls are ``other``."""
    metrics_token_types_max: int = Field(default=20, ge=1)
    """Maximum types of tokens in the metrics of a project; less frequent ones are ``other``."""
    metrics_budget_groups_max: int = Field(default=100, ge=1)
    """Maximum groups of budgets in the metrics of a project, those with the largest shares of their
    limits first."""
    metrics_rules_max: int = Field(default=100, ge=1)
    """Maximum firing alert rules in the metrics of a project."""
    metrics_projects_max: int = Field(default=100, ge=1)
    """Maximum projects in the metrics that the installation's admin key gets."""
    metrics_active_max_s: int = Field(default=900, ge=1, le=86_400)
    """Age up to which a call without an end counts as active."""
    installation_prices_max: int = Field(default=1_000, ge=1)
    """Maximum number of prices of the installation."""
    tiers_per_project_max: int = Field(default=200_000, ge=1)
    """Maximum number of users of a project that have a tier; above it: 409."""
    tiers_per_request_max: int = Field(default=1_000, ge=1)
    """Maximum number of users in one ``PUT /v1/tiers``."""
    budget_states_max: int = Field(default=500_000, ge=1)
    """Maximum number of groups of budgets whose spend is kept in memory for decisions, about 350
    bytes each. Budgets with more are named as incomplete."""
    decisions_per_request_max: int = Field(default=100, ge=1)
    """Maximum number of calls in one ``POST /v1/budgets/decisions``."""
    decision_freshness_interval_s: float = Field(default=0.5, gt=0, le=60)
    """Interval of determining up to which time the spend for decisions is known."""
    stream_connections_max: int = Field(default=200, ge=1)
    """Maximum number of streams of events (``GET /v1/stream``) that are read from a process at the
    same time; above it: 503."""
    stream_connections_per_project_max: int = Field(default=50, ge=1)
    """The same for a project."""
    stream_queue_events_max: int = Field(default=1_000, ge=1)
    """Maximum number of events that wait for a slow reader; the oldest ones are dropped, and the
    reader is told how many."""
    stream_kept_events_max: int = Field(default=5_000, ge=1)
    """Maximum number of events of a project that are kept for readers who connect again."""
    stream_kept_s: float = Field(default=60.0, ge=0, le=3_600)
    """Time for which they are kept after the last reader has left."""
    stream_heartbeat_s: float = Field(default=15.0, gt=0, le=300)
    """Time without events after which a stream sends a comment."""
    stream_check_s: float = Field(default=1.0, gt=0, le=60)
    """Interval at which the key of a stream is checked; a stream ends if it was revoked."""
    retry_after_s: int = Field(default=1, ge=1)
    """Value of ``Retry-After`` in 503 responses, in seconds."""
    readiness_cache_s: float = Field(default=1.0, ge=0)
    """Time for which the results of readiness checks are cached."""
    readiness_timeout_s: float = Field(default=2.0, gt=0)
    """Time limit of one readiness check."""
    readiness_look_interval_s: float = Field(default=1.0, gt=0, le=60)
    """Interval at which the progress of the streams and the sink is checked."""
    readiness_canary_interval_s: float = Field(default=2.0, gt=0, le=60)
    """Time without new records after which a partition gets an empty record, which shows whether
    records are processed."""
    readiness_record_age_max_s: float = Field(default=5.0, gt=0)
    """Maximum age of the oldest record that the streams or the sink have not processed; above it:
    not ready. An event that is sent while ready is visible within twice this time."""
    body_max_bytes: int = Field(default=65_536, ge=1_024)
    """Maximum size of the body of a request; above it: 413."""
    document_body_max_bytes: int = Field(default=4_500_000, ge=1_024)
    """Maximum size of the body of a request with documents, such as items of datasets and comments;
    above it: 413."""
    documents_unstored_max: int = Field(default=1_000, ge=1, le=2_000)
    """Maximum documents of a list that are not stored yet. Lists with more wait for the store; if
    it takes longer than ``queue_wait_max_s``: 503."""
    documents_of_parent_max: int = Field(default=10_000, ge=1)
    """Maximum documents in a response that has no pages, such as the items of a run."""
    recorded_runs_max: int = Field(default=1_000, ge=1, le=100_000)
    """Maximum number of runs of a dataset that only spans record; lists of more are refused."""
    media_references_max: int = Field(default=500, ge=1)
    """Maximum number of references to media that a list of dataset items resolves; the others
    remain texts."""
    media_lookups_timeout_s: float = Field(default=2.0, gt=0)
    """Time in which such a list looks up which media are uploaded; the others remain texts."""
    items_per_request_max: int = Field(default=500, ge=1)
    """Maximum number of items in one ``POST /v1/datasets/items``."""
    comment_object_wait_s: float = Field(default=2.0, ge=0)
    """Time for which a comment on a trace, observation or session that is not stored yet waits;
    after it: 404."""
    document_cache_s: float = Field(default=10.0, ge=0, le=20)
    """Time for which datasets and runs that were read are cached; changes are visible at once. It
    must be shorter than ``TRACEMILL_DOCUMENTS_KEPT_S``."""
    document_cache_max: int = Field(default=1_000, ge=1)
    """Maximum number of cached datasets and runs; at it, the cache is emptied."""
    experiment_changes_max: int = Field(default=1_000, ge=1)
    """Maximum regressions, improvements, missing and failed items, each, in a comparison of runs;
    one with more is marked ``truncated``."""
    jobs_max: int = Field(default=20_000, ge=1)
    """Maximum number of jobs of all projects that ``/v1/jobs`` remembers; above it, those that
    changed the longest ago are forgotten."""
    document_write_attempts_max: int = Field(default=10, ge=1)
    """Maximum attempts of a change while others change the same document; after them: 503."""
    document_counts_s: float = Field(default=30.0, ge=0)
    """Time for which the number of a project's documents is cached, to check limits."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """Maximum time from the head of a request to the end of its body; after it: 408."""
    prompt_max_bytes: int = Field(default=200_000, ge=1_024, le=240_000)
    """Maximum size of a version of a prompt with its config, as JSON; above it: 400."""
    prompt_body_max_bytes: int = Field(default=1_048_576, ge=1_024)
    """Maximum size of the body of a request that creates a prompt; above it: 413."""
    prompts_of_project_max_bytes: int = Field(default=64_000_000, ge=1_024)
    """Maximum size of all prompts of a project, which are kept in memory; above it: 409."""
    prompt_resolved_max_chars: int = Field(default=1_000_000, ge=1_024)
    """Maximum length of a prompt with the prompts that it includes; above it: 400."""
    projects_max: int = Field(default=1_000, ge=1)
    """Maximum number of projects of the installation, without deleted ones."""
    key_overlap_max_s: int = Field(default=604_800, ge=0)
    """Maximum time for which the previous secret of a key can remain valid after a rotation."""
    webhooks_allow_private: bool = Field(
        default=False,
        validation_alias=AliasChoices("TRACEMILL_WEBHOOKS_ALLOW_PRIVATE", "webhooks_allow_private"),
    )
    """Allow webhooks to private addresses. Deliveries check the same setting again."""
    redelivery_age_max_h: int = Field(
        default=24 * 7,
        ge=1,
        validation_alias=AliasChoices("TRACEMILL_NOTIFIER_ALERT_AGE_MAX_H", "redelivery_age_max_h"),
    )
    """Maximum age of an alert that can be delivered again; the worker has the same setting."""
    webhooks_forbidden_ports: str = Field(
        default="",
        validation_alias=AliasChoices(
            "TRACEMILL_WEBHOOKS_FORBIDDEN_PORTS", "webhooks_forbidden_ports"
        ),
    )
    """Ports that webhooks must not use. Deliveries check the same setting again."""

    @field_validator("webhooks_forbidden_ports")
    @classmethod
    def _check_ports(cls, texts: str) -> str:
        own_endpoints(texts)
        return texts
