"""Describe the gateway's routes, which share the port, in the OpenAPI document.

They are written by hand, as the gateway's routes are ASGI applications without metadata.
"""

from __future__ import annotations

from typing import Any, Final

from query_api.openapi.trace_deletion import trace_deletion_paths

_TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
_TIMESTAMP: Final = "2026-11-21T12:00:01.842Z"
_TAGS: Final = ["ingestion"]

_ATTRIBUTES: Final = [
    {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
    {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000"}},
    {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "60"}},
]
_SPAN: Final[dict[str, Any]] = {
    "traceId": _TRACE_ID,
    "spanId": "00f067aa0ba902b7",
    "name": "generate-answer",
    "startTimeUnixNano": "1795262400412000000",
    "endTimeUnixNano": "1795262401842000000",
    "attributes": _ATTRIBUTES,
}
_EXPORT_EXAMPLE: Final = {"resourceSpans": [{"scopeSpans": [{"spans": [_SPAN]}]}]}
_PARTIAL_EXAMPLE: Final = {
    "partialSuccess": {"rejectedSpans": "1", "errorMessage": "00f067aa0ba902b7: no name"}
}
_BATCH_EXAMPLE: Final = {
    "batch": [
        {
            "id": "6a1e3f0c-3f0e-4a55-9a86-7c1f3f6e2d10",
            "type": "generation-create",
            "timestamp": _TIMESTAMP,
            "body": {
                "id": "00f067aa0ba902b7",
                "traceId": _TRACE_ID,
                "name": "generate-answer",
                "startTime": "2026-11-21T12:00:00.412Z",
                "endTime": _TIMESTAMP,
                "model": "gpt-4o",
                "usageDetails": {"input": 1000, "output": 60},
            },
        }
    ]
}
_ACCEPTED_EXAMPLE: Final = {
    "successes": [{"id": "6a1e3f0c-3f0e-4a55-9a86-7c1f3f6e2d10", "status": 201}],
    "errors": [],
}
_SCORE_EXAMPLE: Final = {"traceId": _TRACE_ID, "name": "helpful", "value": 1, "dataType": "BOOLEAN"}

_TEXT: Final = {"type": "string"}
_REFUSALS: Final = {
    "400": (
        "The body is invalid; the message names the field.",
        "Invalid request data",
    ),
    "401": ("No credential, or an unknown one.", "No authorization header"),
    "403": (
        "The credential lacks the scope `ingest`, `scores` (scores) or `write` (deleting traces).",
        "Access Scope Denied: the credential lacks the scope 'ingest'",
    ),
    "408": ("The body took too long to arrive.", "the body took too long to arrive"),
    "413": (
        "The body is too large, compressed or decompressed.",
        "the body is larger than 20000000 bytes",
    ),
    "415": (
        "The content type or encoding is not supported.",
        "content encoding 'br' is not supported; use gzip or none",
    ),
    "431": (
        "The headers or the address are too large, or too many.",
        "The headers are too large (head_max_bytes)",
    ),
    "503": (
        "The events could not be stored; send them again after `Retry-After` seconds.",
        "Service Unavailable: the broker does not answer",
    ),
}
"""Reason and example message by status."""


def ingestion_paths() -> dict[str, dict[str, Any]]:
    """Return path items, to be merged with those of the same paths."""
    export = {
        "type": "object",
        "description": "An OTLP `ExportTraceServiceRequest` in its JSON form.",
        "properties": {"resourceSpans": {"type": "array", "items": {"type": "object"}}},
    }
    spans = {
        "requestBody": _otlp_body(export, _EXPORT_EXAMPLE),
        "responses": {"200": _otlp_response("Accepted except rejected spans.", _PARTIAL_EXAMPLE)},
        "description": "gzip is supported. Spans that cannot be stored are counted in"
        " `partialSuccess` and become dead letters; the others are accepted.",
    }
    metrics = {
        "requestBody": _otlp_body({"type": "object"}, {"resourceMetrics": []}),
        "responses": {"200": _otlp_response("Dropped.", {})},
        "description": "Metrics are accepted and dropped, so that exporters can use one host.",
    }
    paths: dict[str, dict[str, Any]] = {
        "/v1/traces": {"post": _operation("Send spans (OTLP)", "send_spans", spans)},
        "/api/public/otel/v1/traces": {
            "post": _operation("Send spans (OTLP)", "send_spans_langfuse", spans)
        },
        "/api/public/otel/v1/metrics": {
            "post": _operation("Send metrics (OTLP)", "send_metrics", metrics)
        },
        "/api/public/ingestion": {
            "post": _operation("Send events of the older SDKs", "send_events", _ingestion())
        },
        "/api/public/scores": {"post": _operation("Send scores", "send_scores", _scores())},
        "/api/public/scores/{scoreId}": {
            "delete": _operation("Delete a score", "delete_score", _score_deletion())
        },
    }
    for path, item in trace_deletion_paths(_operation).items():
        paths.setdefault(path, {}).update(item)
    return paths


def _operation(summary: str, name: str, described: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/IngestionRefusal"}
    refusals = {
        status: {"description": reason, "content": _json(schema, {"message": example})}
        for status, (reason, example) in _REFUSALS.items()
    }
    return {
        "summary": summary,
        "operationId": name,
        "tags": _TAGS,
        "security": [{"projectKey": []}],
        **described,
        "responses": described["responses"] | refusals,
    }


def _otlp_body(schema: dict[str, Any], example: object) -> dict[str, Any]:
    content = {
        "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": schema, "example": example},
    }
    return {"required": True, "content": content}


def _otlp_response(description: str, example: object) -> dict[str, Any]:
    """Describe a response, which has the encoding of the request."""
    partial = {"rejectedSpans": _TEXT, "errorMessage": _TEXT}
    schema = {
        "type": "object",
        "properties": {"partialSuccess": {"type": "object", "properties": partial}},
    }
    content = {
        "application/json": {"schema": schema, "example": example},
        "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
    }
    return {"description": description, "content": content}


def _json(schema: dict[str, Any], example: object) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "example": example}}


def _ingestion() -> dict[str, Any]:
    event = {
        "type": "object",
        "required": ["id", "type", "timestamp", "body"],
        "properties": {
            "id": _TEXT | {"minLength": 1, "maxLength": 800},
            "type": _TEXT | {"examples": ["trace-create", "span-update", "score-create"]},
            "timestamp": _TEXT | {"format": "date-time"},
            "body": {"type": "object"},
        },
    }
    event_result = {
        "type": "object",
        "required": ["id", "status"],
        "properties": {"id": _TEXT, "status": {"type": "integer"}, "message": _TEXT, "error": {}},
    }
    batch = {
        "type": "object",
        "required": ["batch"],
        "properties": {"batch": {"type": "array", "items": event}, "metadata": {}},
    }
    outcome = {
        "type": "object",
        "required": ["successes", "errors"],
        "properties": {
            "successes": {"type": "array", "items": event_result},
            "errors": {"type": "array", "items": event_result},
        },
    }
    return {
        "requestBody": {"required": True, "content": _json(batch, _BATCH_EXAMPLE)},
        "responses": {
            "207": {
                "description": "The outcome of each event.",
                "content": _json(outcome, _ACCEPTED_EXAMPLE),
            }
        },
        "description": "Invalid events become dead letters and are reported as accepted, because"
        " SDKs would resend them endlessly.",
    }


def _scores() -> dict[str, Any]:
    texts = ("id", "name", "traceId", "observationId", "sessionId", "datasetRunId", "comment")
    kinds = ["NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"]
    score = {
        "type": "object",
        "required": ["value"],
        "properties": dict.fromkeys(texts, _TEXT)
        | {
            "value": {"type": ["number", "string", "boolean"]},
            "dataType": {"type": "string", "enum": kinds},
            "configId": _TEXT,
            "environment": _TEXT,
            "timestamp": _TEXT | {"format": "date-time"},
            "metadata": {},
        },
    }
    one_or_many = {"oneOf": [score, {"type": "array", "items": score}]}
    faults = {"type": "array", "items": {"type": "object", "properties": {"message": _TEXT}}}
    counts = {"accepted": {"type": "integer"}, "rejected": {"type": "integer"}, "errors": faults}
    single = {"type": "object", "required": ["id"], "properties": {"id": _TEXT}}
    all_accepted = {"type": "object", "required": ["message"], "properties": {"message": _TEXT}}
    some_accepted = {"type": "object", "required": list(counts), "properties": counts}
    refused = {
        "accepted": 1,
        "rejected": 1,
        "errors": [{"message": "[1]: value: NUMERIC takes a number"}],
    }
    return {
        "requestBody": {"required": True, "content": _json(one_or_many, _SCORE_EXAMPLE)},
        "responses": {
            "200": {
                "description": "The score was accepted.",
                "content": _json(single, {"id": "5f0c8a1e9d3b4c72"}),
            },
            "202": {
                "description": "All scores of the list were accepted.",
                "content": _json(all_accepted, {"message": "Accepted"}),
            },
            "207": {
                "description": "Some scores of the list were rejected.",
                "content": _json(some_accepted, refused),
            },
        },
        "description": "A score with the id of an existing score replaces it. A score with a"
        " `configId` must have the type of this score config and a value that it allows; a single"
        " score must also have its name.",
    }


def _score_deletion() -> dict[str, Any]:
    message = {"type": "object", "required": ["message"], "properties": {"message": _TEXT}}
    example = {"message": "Score deletion request received successfully"}
    return {
        "parameters": [
            {
                "name": "scoreId",
                "in": "path",
                "required": True,
                "schema": _TEXT
                | {"minLength": 1, "maxLength": 800, "examples": ["5f0c8a1e9d3b4c72"]},
            }
        ],
        "responses": {
            "202": {
                "description": "The score is deleted, or there is none.",
                "content": _json(message, example),
            }
        },
        "description": "Requires the scope `ingest`. A score that is sent later may have the same"
        " id.",
    }


INGESTION_REFUSAL: Final = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": _TEXT,
        "error": {"description": "A name, or the list of issues of a malformed score."},
        "errors": {"type": "array", "items": _TEXT},
    },
}
