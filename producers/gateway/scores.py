"""``POST /api/public/scores``: one score (an object), or many (a list, the newer SDKs' way)."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

from producers import metrics
from producers.dead_letters import dead_letter
from producers.errors import BodyError, RequestError, TooLargeError
from producers.gateway.bodies import ScoreBody
from producers.gateway.context import Answer, Call, Endpoint
from producers.gateway.failures import PROCESSING_FAILED, describe_failure, refusing_body
from producers.gateway.json_size import DEPTH_MAX, check_json_values, cut_deep
from producers.gateway.json_text import check_raw, without_lone_surrogates
from producers.gateway.publisher import EventBatch
from producers.gateway.statements import Times, score_statement

INVALID: Final = "Invalid request data"
ERRORS_MAX: Final = 100

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_score = msgspec.json.Decoder(ScoreBody).decode
_encode = msgspec.json.Encoder().encode


class Scores(Endpoint):
    name = "scores"
    body_limit = "scores_body_max_bytes"

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, BodyError):
            return {"message": INVALID, "error": [_issue(str(error))]}
        return {"message": str(error)}

    async def serve(self, call: Call) -> Answer:
        values_max = self.context.settings.json_values_max
        raws, is_list = await self.context.turns.run(
            len(call.body), refusing_body, _scores_of, call.body, values_max
        )
        if is_list:
            return await self._serve_list(raws, call)
        batch = self.context.publisher.batch()
        try:
            score_id = _add_score(batch, raws[0], call)
        except RequestError:
            raise
        except Exception as error:
            fault = self._set_aside(batch, raws[0], call, error)
            await self.context.publisher.publish(batch)
            raise BodyError(fault) from error
        await self.context.publisher.publish(batch)
        metrics.EVENTS_IN.labels("score").inc()
        return Answer(200, _encode({"id": score_id}))

    async def _serve_list(self, raws: list[msgspec.Raw], call: Call) -> Answer:
        if len(raws) > self.context.settings.batch_events_max:
            metrics.LIMIT_REACHED.labels("batch_events_max").inc()
            message = (
                f"{len(raws)} scores; {self.context.settings.batch_events_max} are allowed at once"
            )
            raise TooLargeError(message)
        batch = self.context.publisher.batch()
        faults: list[str] = []
        for index, raw in enumerate(raws):
            try:
                _add_score(batch, raw, call)
            except (BodyError, TooLargeError) as error:
                metrics.EVENTS_REFUSED.labels("invalid_event").inc()
                faults.append(f"[{index}]: {error}")
            except RequestError:
                raise
            except Exception as error:  # noqa: BLE001  as above
                faults.append(f"[{index}]: {self._set_aside(batch, raw, call, error)}")
        await self.context.publisher.publish(batch)
        accepted = len(raws) - len(faults)
        metrics.EVENTS_IN.labels("score").inc(accepted)
        if not faults:
            return Answer(202, _encode({"message": "Accepted"}))
        answered = {
            "accepted": accepted,
            "rejected": len(faults),
            "errors": [{"message": fault} for fault in faults[:ERRORS_MAX]],
        }
        return Answer(207, _encode(answered))

    def _set_aside(self, batch: EventBatch, raw: msgspec.Raw, call: Call, error: Exception) -> str:
        metrics.EVENTS_REFUSED.labels(PROCESSING_FAILED).inc()
        detail = describe_failure("score", error)
        letter = dead_letter(
            call.principal.project_id,
            reason=PROCESSING_FAILED,
            detail=detail,
            payload=bytes(raw),
            created_us=call.received_us,
            max_bytes=self.context.settings.dead_letter_max_bytes,
        )
        batch.set_aside(letter)
        return detail


def _scores_of(body: bytes, values_max: int) -> tuple[list[msgspec.Raw], bool]:
    """The undecoded scores of a body, and whether they stand in a list."""
    check_json_values(body, values_max)
    body = without_lone_surrogates(body).strip()
    if not body.startswith(b"["):
        return [msgspec.Raw(body)], False
    try:
        try:
            return _decode_list(body), True
        except RecursionError:
            # Where it is cut, the score is too deep still, and refused alone.
            return _decode_list(cut_deep(body, DEPTH_MAX + 2)), True
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(str(error)) from error


def _add_score(batch: EventBatch, raw: msgspec.Raw, call: Call) -> str:
    """Check one score and take it; its id is the client's or a new one."""
    check_raw(raw)
    try:
        body = _decode_score(raw)
    except msgspec.MsgspecError as error:
        raise BodyError(str(error)) from error
    score = score_statement(
        body,
        Times(call.received_us),
        project_id=call.principal.project_id,
        score_id=str(uuid.uuid4()),
        ts_us=call.received_us,
    )
    batch.add(score)
    return score.id


def _issue(fault: str) -> dict[str, Any]:
    """A fault in the shape that clients know: code, path, message."""
    described, _, place = fault.partition(" - at `$.")
    field, colon, rest = fault.partition(": ")
    if place:
        return {"code": "custom", "path": place.rstrip("`").split("."), "message": described}
    if colon and field.isidentifier():
        return {"code": "custom", "path": [field], "message": rest}
    return {"code": "custom", "path": [], "message": fault}
