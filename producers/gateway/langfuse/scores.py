"""Serve ``POST /api/public/scores``: an object with one score, or a list of scores."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from producers import metrics
from producers.dead_letters import dead_letter
from producers.errors import (
    BatchTooLargeError,
    BodyError,
    DecodeInThreadError,
    ForbiddenError,
    RequestError,
    TooLargeError,
)
from producers.gateway.event_batch import EventBatch
from producers.gateway.failures import PROCESSING_FAILED, describe_failure, refusing_body
from producers.gateway.http.endpoint import INLINE_ITEMS_MAX, Endpoint
from producers.gateway.http.request import Call
from producers.gateway.http.response import Response
from producers.gateway.langfuse.bodies import ScoreBody, fault_text
from producers.gateway.langfuse.contract_events import Times
from producers.gateway.langfuse.score_events import score_of
from producers.gateway.score_configs import ScoreConfigs
from producers.gateway.values.json_size import DEPTH_MAX, check_inline, check_json_values, cut_deep
from producers.gateway.values.json_text import check_raw, without_lone_surrogates
from producers.langfuse_sdk import Sdk, is_python_before, sdk_of
from producers.notifications.event_type import iso_time
from tracemill.contract import Score

INVALID: Final = "Invalid request data"
ERRORS_MAX: Final = 100
WHOLE_SCORE_BEFORE: Final = (2, 39)
"""Version of the Python SDK before which the answer to a new score had to be the score."""

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_score = msgspec.json.Decoder(ScoreBody).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Scores:
    """The accepted scores of a request, and the errors of the others."""

    batch: EventBatch
    is_list: bool
    single: Score | None = None
    """The score, if the body is not a list."""
    faults: list[str] = field(default_factory=list)


class Scores(Endpoint):
    name = "scores"
    body_limit = "scores_body_max_bytes"
    scopes = ("scores",)

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, BodyError):
            return {"message": INVALID, "error": [_issue(str(error))]}
        if isinstance(error, ForbiddenError):
            return {"message": str(error), "error": "ForbiddenError"}
        return {"message": str(error)}

    async def serve(self, call: Call) -> Response:
        read = partial(self._read, call)
        scores = await self.context.admission.run(call.principal.quota_key, len(call.body), read)
        await self.publish(call, scores.batch)
        metrics.EVENTS_IN.labels("score").inc(scores.batch.event_count)
        if scores.single is not None:
            return Response(200, _encode(_created(scores.single, sdk_of(call.headers))))
        if not scores.is_list:
            raise BodyError(scores.faults[0])
        if not scores.faults:
            return Response(202, _encode({"message": "Accepted"}))
        summary = {
            "accepted": scores.batch.event_count,
            "rejected": len(scores.faults),
            "errors": [{"message": fault} for fault in scores.faults[:ERRORS_MAX]],
        }
        return Response(207, _encode(summary))

    def _read(self, call: Call, inline_values_max: int | None) -> _Scores:
        settings = self.context.settings
        check_inline(call.body, inline_values_max)
        raws, is_list = refusing_body(_scores_of, call.body, settings.json_values_max)
        if inline_values_max is not None and len(raws) > INLINE_ITEMS_MAX:
            raise DecodeInThreadError
        if len(raws) > settings.batch_events_max:
            metrics.LIMIT_REACHED.labels("batch_events_max").inc()
            message = f"the list has {len(raws)} scores; the maximum is {settings.batch_events_max}"
            raise TooLargeError(message)
        scores = _Scores(self.context.publisher.batch(call.principal.quota_key), is_list)
        for index, raw in enumerate(raws):
            prefix = f"[{index}]: " if is_list else ""
            try:
                score = _add_score(
                    scores.batch, raw, call, self.context.score_configs, is_list=is_list
                )
            except BatchTooLargeError:
                raise
            except RequestError as error:
                if not is_list:
                    raise
                metrics.EVENTS_REFUSED.labels("invalid_event").inc()
                scores.faults.append(f"{prefix}{error}")
            except Exception as error:  # noqa: BLE001  a bug must reject only this score
                detail = self._add_dead_letter(scores.batch, raw, call, error)
                scores.faults.append(f"{prefix}{detail}")
            else:
                scores.single = None if is_list else score
        return scores

    def _add_dead_letter(
        self, batch: EventBatch, raw: msgspec.Raw, call: Call, error: Exception
    ) -> str:
        """Add a dead letter for a score that raised ``error``; return the description."""
        metrics.EVENTS_REFUSED.labels(PROCESSING_FAILED).inc()
        detail = describe_failure("score", error)
        rejected = dead_letter(
            call.principal.project_id,
            reason=PROCESSING_FAILED,
            detail=detail,
            payload=bytes(raw),
            created_us=call.received_us,
            max_bytes=self.context.settings.dead_letter_max_bytes,
        )
        batch.add_dead_letter(rejected)
        return detail


def _scores_of(body: bytes, values_max: int) -> tuple[list[msgspec.Raw], bool]:
    """Return the undecoded scores of a body, and whether the body is a list."""
    check_json_values(body, values_max)
    body = without_lone_surrogates(body).strip()
    if not body.startswith(b"["):
        return [msgspec.Raw(body)], False
    try:
        try:
            return _decode_list(body), True
        except RecursionError:
            # Only scores that are nested too deeply are cut. They still exceed the limit and are
            # rejected; the others are decoded.
            return _decode_list(cut_deep(body, DEPTH_MAX + 2)), True
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(fault_text(error)) from error


def _add_score(
    batch: EventBatch, raw: msgspec.Raw, call: Call, configs: ScoreConfigs, *, is_list: bool
) -> Score:
    """Add a score to the batch and return it; its id is new if the client sent none."""
    check_raw(raw)
    try:
        body = _decode_score(raw)
    except msgspec.MsgspecError as error:
        raise BodyError(fault_text(error)) from error
    score = score_of(
        body,
        Times(call.received_us),
        configs,
        project_id=call.principal.project_id,
        score_id=str(uuid.uuid4()),
        ts_us=call.received_us,
        must_have_name_of_config=not is_list,
    )
    batch.add(score)
    return score


def _created(score: Score, sdk: Sdk) -> dict[str, Any]:
    """Return the answer to a single score: its id, and for old SDKs the score."""
    if not is_python_before(sdk, *WHOLE_SCORE_BEFORE):
        return {"id": score.id}
    return {
        "id": score.id,
        "traceId": score.trace_id,
        "observationId": score.observation_id,
        "name": score.name,
        "value": score.value,
        "stringValue": score.string_value,
        "dataType": score.data_type,
        "source": score.source,
        "timestamp": iso_time(score.ts_us),
        "comment": score.comment,
    }


def _issue(fault: str) -> dict[str, Any]:
    """Return an error in Langfuse's format: code, path and message."""
    described, _, path = fault.partition(" - at `$.")
    field, colon, rest = fault.partition(": ")
    if path:
        return {"code": "custom", "path": path.rstrip("`").split("."), "message": described}
    if colon and field.isidentifier():
        return {"code": "custom", "path": [field], "message": rest}
    return {"code": "custom", "path": [], "message": fault}
