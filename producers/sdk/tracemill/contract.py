"""Define the event contract: the format of records on the events topic.

A Kafka record is a micro-batch: NDJSON, one event per line, all of one partition. The field
``kind`` of an event is ``observation``, ``trace``, ``score`` or ``trace_deletion``. New versions of
the contract only add optional fields and kinds. Readers ignore unknown fields, and writers may omit
any field with a default.

Times (``*_us``) are integer microseconds since the Unix epoch, UTC. Money is integer picodollars
(1e-12 USD). ``input`` and ``output`` are strings as the client sent them, or the JSON text of other
values. ``metadata`` and ``model_parameters`` are the JSON text of an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

ObservationType = Literal[
    "SPAN",
    "GENERATION",
    "EVENT",
    "AGENT",
    "TOOL",
    "CHAIN",
    "RETRIEVER",
    "EVALUATOR",
    "EMBEDDING",
    "GUARDRAIL",
]
Level = Literal["DEBUG", "DEFAULT", "WARNING", "ERROR"]
AppCache = Literal["exact", "semantic", "miss"]
ScoreDataType = Literal["NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"]
ScoreSource = Literal["API", "EVAL", "ANNOTATION"]

DEFAULT_ENVIRONMENT: Final = "default"

COUNT_MAX: Final = 10**9
"""Maximum number of units of one usage type of one observation; keeps totals within 64 bits."""
COST_MAX_PICO: Final = 100_000 * 10**12
"""Maximum cost of one observation: 100,000 US dollars."""


def is_within_cost_max(cost: Mapping[str, int]) -> bool:
    """Return whether the ``total`` and the sum of the parts are at most ``COST_MAX_PICO``."""
    total_pico = cost.get("total", 0)
    return total_pico <= COST_MAX_PICO and sum(cost.values()) - total_pico <= COST_MAX_PICO


class TraceAttributes(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An update of fields of a trace; ``None`` leaves a field unchanged.

    For each field, the update with the latest ``ts_us`` wins. Tags of all updates are united, and
    metadata is merged by key.

    Attributes:
        start_us: Time at which the trace began.
        external_id: An id that the application chose.
    """

    name: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    release: str | None = None
    version: str | None = None
    public: bool | None = None
    tags: tuple[str, ...] | None = None
    metadata: str | None = None
    input: str | None = None
    output: str | None = None
    start_us: int | None = None
    external_id: str | None = None


class Observation(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="observation"
):
    """One operation of an application, such as a span, a generation or a tool call.

    With ``partial=False``, the event replaces the whole observation. With ``partial=True``, it
    updates the fields that are not ``None``; for each field, the update with the latest ``ts_us``
    wins.

    Attributes:
        completion_start_us: Time of the first output token. Statistics use it only if it is within
            the observation.
        usage: Units by usage type, each at most ``COUNT_MAX``. Types do not overlap: ``input``
            excludes cached tokens, ``output`` excludes reasoning tokens. ``total`` is optional.
        reported_usage: JSON of the units by usage type as the client sent them, if they differ from
            ``usage``. A partial update with ``usage`` and the same units has ``{}``.
        usage_uncertain: What does not add up in the reported usage.
        service_tier: The provider's tier that served the call.
        provider: Who served the call, such as ``openai`` or ``aws``.
        error_type: Class of the error, such as ``RateLimitError`` or ``429``.
        app_cache: Whether a cache of the application answered, instead of a call: ``exact`` for a
            cached answer to the same request, ``semantic`` for one to a similar request, ``miss``
            if the cache had none.
        cost: Picodollars by usage type, at most ``COST_MAX_PICO``. It takes precedence over the
            cost that tracemill computes.
        app_root: Whether this is the root span of an application that continues the trace of
            another one; its input, output and metadata are those of the trace.
        app_entry: Whether this is the first span that an SDK exports, although its parent is
            elsewhere. It is a root, but the trace does not take its texts.
        api_key: Public key of the API key that sent the event. The gateway sets it.
    """

    project_id: str
    trace_id: str
    id: str
    ts_us: int
    partial: bool = False
    type: ObservationType | None = None
    name: str | None = None
    parent_id: str | None = None
    environment: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    completion_start_us: int | None = None
    level: Level | None = None
    status_message: str | None = None
    error_type: str | None = None
    version: str | None = None
    model: str | None = None
    model_parameters: str | None = None
    usage: dict[str, int] | None = None
    reported_usage: str | None = None
    usage_uncertain: str | None = None
    service_tier: str | None = None
    provider: str | None = None
    cost: dict[str, int] | None = None
    app_cache: AppCache | None = None
    input: str | None = None
    output: str | None = None
    metadata: str | None = None
    prompt_name: str | None = None
    prompt_version: int | None = None
    service_name: str | None = None
    scope_name: str | None = None
    scope_version: str | None = None
    app_root: bool = False
    app_entry: bool = False
    api_key: str | None = None
    trace: TraceAttributes | None = None


class TraceUpdate(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="trace"
):
    """An update of a trace at ``ts_us``, without an observation."""

    project_id: str
    trace_id: str
    ts_us: int
    environment: str | None = None
    trace: TraceAttributes


class Score(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="score"
):
    """A score of a trace, an observation, a session or a dataset run.

    A later score with the same ``id`` replaces it. ``value`` is set for numeric scores, and for
    boolean ones (0 or 1), and optionally for categories; ``string_value`` is the text of the
    others, and optionally ``True`` or ``False`` for boolean ones. With ``deleted``, the event
    deletes all versions of the score until ``ts_us``, and its other fields are empty.
    """

    project_id: str
    id: str
    ts_us: int
    name: str
    data_type: ScoreDataType
    value: float | None = None
    string_value: str | None = None
    trace_id: str | None = None
    observation_id: str | None = None
    session_id: str | None = None
    dataset_run_id: str | None = None
    source: ScoreSource = "API"
    environment: str | None = None
    comment: str | None = None
    metadata: str | None = None
    config_id: str | None = None
    queue_id: str | None = None
    author_user_id: str | None = None
    deleted: bool = False


class TraceDeletion(
    msgspec.Struct,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="kind",
    tag="trace_deletion",
):
    """The deletion of a trace with all its observations and scores so far.

    Later events of the trace are dropped for a time.

    Attributes:
        api_key: Public key of the API key that requested it.
    """

    project_id: str
    trace_id: str
    ts_us: int
    api_key: str | None = None


Event = Observation | TraceUpdate | Score | TraceDeletion

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """Encode an event as one line of JSON, without the newline."""
    return _encoder.encode(event)


def decode_event(line: bytes | memoryview) -> Event:
    """Decode the event of one line.

    Raises:
        msgspec.DecodeError: The line is not JSON.
        msgspec.ValidationError: The JSON is not an event; the message names the field.
    """
    return _decoder.decode(line)
