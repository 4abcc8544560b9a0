"""Define examples of the Langfuse API for the OpenAPI document: one trace in every endpoint."""

from __future__ import annotations

from typing import Any, Final

_TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
_ROOT_ID: Final = "b7ad6b7169203331"
_CALL_ID: Final = "00f067aa0ba902b7"
_SCORE_ID: Final = "5f0c8a1e9d3b4c72"
_STARTED: Final = "2026-11-21T12:00:00.000Z"
_STORED: Final = "2026-11-21T12:00:02.310Z"

_TRACE: Final[dict[str, Any]] = {
    "id": _TRACE_ID,
    "projectId": "default",
    "timestamp": _STARTED,
    "name": "answer-question",
    "userId": "user-42",
    "sessionId": "session-7",
    "release": "1.4.2",
    "version": None,
    "environment": "production",
    "externalId": None,
    "public": False,
    "bookmarked": False,
    "tags": ["rag"],
    "level": "DEFAULT",
    "input": {"question": "What is a trace?"},
    "output": "A trace is the record of one request.",
    "metadata": {"region": "eu"},
    "createdAt": _STORED,
    "updatedAt": _STORED,
    "htmlPath": f"/project/default/traces/{_TRACE_ID}",
    "latency": 1.842,
    "totalCost": 0.0031,
}

OBSERVATION_EXAMPLE: Final[dict[str, Any]] = {
    "id": _CALL_ID,
    "projectId": "default",
    "traceId": _TRACE_ID,
    "parentObservationId": _ROOT_ID,
    "name": "generate-answer",
    "type": "GENERATION",
    "environment": "production",
    "startTime": "2026-11-21T12:00:00.412Z",
    "endTime": "2026-11-21T12:00:01.842Z",
    "completionStartTime": "2026-11-21T12:00:00.733Z",
    "version": None,
    "createdAt": _STORED,
    "updatedAt": _STORED,
    "input": [{"role": "user", "content": "What is a trace?"}],
    "output": "A trace is the record of one request.",
    "metadata": {},
    "toolDefinitions": {"search": '{"name":"search","parameters":{"type":"object"}}'},
    "toolCalls": ['{"id":"call_1","name":"search","arguments":"{}"}'],
    "toolCallNames": ["search"],
    "level": "DEFAULT",
    "statusMessage": None,
    "model": "gpt-4o",
    "modelParameters": {"temperature": 0.2},
    "modelId": "openai:gpt-4o",
    "usageUncertain": None,
    "unpricedUsage": [],
    "serviceTier": None,
    "usageRole": None,
    "computedTotalCost": None,
    "promptId": None,
    "promptName": "answer",
    "promptVersion": 3,
    "usageDetails": {"input": 1000, "output": 60, "total": 1060},
    "costDetails": {"input": 0.0025, "output": 0.0006, "total": 0.0031},
    "usage": {"unit": "TOKENS", "input": 1000, "output": 60, "total": 1060},
    "unit": "TOKENS",
    "promptTokens": 1000,
    "completionTokens": 60,
    "totalTokens": 1060,
    "usagePricingTierId": None,
    "usagePricingTierName": None,
    "inputPrice": None,
    "outputPrice": None,
    "totalPrice": None,
    "calculatedInputCost": 0.0025,
    "calculatedOutputCost": 0.0006,
    "calculatedTotalCost": 0.0031,
    "latency": 1.43,
    "timeToFirstToken": 0.321,
    "userId": "user-42",
    "sessionId": "session-7",
}

SCORE_EXAMPLE: Final[dict[str, Any]] = {
    "id": _SCORE_ID,
    "projectId": "default",
    "name": "helpful",
    "timestamp": "2026-11-21T12:00:05.000Z",
    "source": "API",
    "dataType": "BOOLEAN",
    "value": 1,
    "stringValue": "True",
    "traceId": _TRACE_ID,
    "observationId": None,
    "sessionId": None,
    "datasetRunId": None,
    "environment": "production",
    "comment": "thumbs up",
    "metadata": {},
    "configId": None,
    "queueId": None,
    "authorUserId": None,
    "createdAt": _STORED,
    "updatedAt": _STORED,
}

_META: Final = {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1}

TRACE_LIST_EXAMPLE: Final = {
    "data": [{**_TRACE, "observations": [_ROOT_ID, _CALL_ID], "scores": [_SCORE_ID]}],
    "meta": _META,
}
TRACE_DETAIL_EXAMPLE: Final = {
    **_TRACE,
    "observations": [OBSERVATION_EXAMPLE],
    "scores": [SCORE_EXAMPLE],
}
OBSERVATION_LIST_EXAMPLE: Final = {"data": [OBSERVATION_EXAMPLE], "meta": _META}
OBSERVATION_V2_LIST_EXAMPLE: Final = {
    "data": [
        {
            "id": _CALL_ID,
            "traceId": _TRACE_ID,
            "startTime": "2026-11-21T12:00:00.412Z",
            "endTime": "2026-11-21T12:00:01.842Z",
            "projectId": "default",
            "parentObservationId": _ROOT_ID,
            "type": "GENERATION",
            "name": "generate-answer",
            "level": "DEFAULT",
            "environment": "production",
            "isRootObservation": False,
        }
    ],
    "meta": {"cursor": "eyJsYXN0U3RhcnRUaW1lVG8iOiIyMDI2LTExLTIxVDEyOjAwOjAwLjQxMloifQ=="},
}
SCORE_LIST_EXAMPLE: Final = {
    "data": [
        {
            **SCORE_EXAMPLE,
            "trace": {
                "userId": "user-42",
                "tags": ["rag"],
                "environment": "production",
                "sessionId": "session-7",
            },
        }
    ],
    "meta": _META,
}
SCORE_V3_LIST_EXAMPLE: Final = {
    "data": [
        {
            "id": _SCORE_ID,
            "projectId": "default",
            "name": "helpful",
            "source": "API",
            "dataType": "BOOLEAN",
            "value": True,
            "timestamp": "2026-11-21T12:00:05.000Z",
            "environment": "production",
            "createdAt": _STORED,
            "updatedAt": _STORED,
            "subject": {"kind": "trace", "id": _TRACE_ID},
        }
    ],
    "meta": {"limit": 50},
}
HEALTH_EXAMPLE: Final = {"status": "OK", "version": "0.1.0"}
UNHEALTHY_EXAMPLE: Final = {"status": "Database not available", "version": "0.1.0"}
READY_EXAMPLE: Final = {
    "status": "OK",
    "checks": {
        "keys": "ok",
        "broker": "ok",
        "store": "ok",
        "streams": "ok",
        "sink": "ok",
        "clock": "ok",
    },
    "missing": [],
}
NOT_READY_EXAMPLE: Final = {
    "status": "NOT_READY",
    "checks": {
        "keys": "ok",
        "broker": "ok",
        "store": "ok",
        "streams": (
            "partition 1 of tracemill.events has made no progress for 8 s"
            " (oldest unprocessed record is 9 s old)"
        ),
        "sink": "ok",
        "clock": "ok",
    },
    "missing": ["streams"],
}
PROJECTS_EXAMPLE: Final = {
    "data": [
        {
            "id": "default",
            "name": "default",
            "organization": {"id": "default", "name": "default"},
            "metadata": {},
            "retentionDays": None,
        }
    ]
}
