"""Serve ``DELETE /api/public/scores/{id}``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from producers import metrics
from producers.errors import BodyError, ForbiddenError, RequestError
from producers.gateway.http.endpoint import Endpoint
from producers.gateway.http.request import Call
from producers.gateway.http.response import Response
from producers.gateway.langfuse.bodies import EntityId
from producers.gateway.langfuse.score_events import deletion_of

ACCEPTED: Final = {"message": "Score deletion request received successfully"}

_encode = msgspec.json.Encoder().encode


class ScoreDeletion(Endpoint):
    """Delete a score that exists; a later score with its id is a new one."""

    name = "score_deletion"
    body_limit = "scores_body_max_bytes"
    scopes = ("ingest",)

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, ForbiddenError):
            return {"message": str(error), "error": "ForbiddenError"}
        return {"message": str(error)}

    async def serve(self, call: Call) -> Response:
        try:
            score_id = msgspec.convert(call.path_parameters["scoreId"], EntityId)
        except msgspec.ValidationError as error:
            raise BodyError(f"scoreId: {error}") from error
        batch = self.context.publisher.batch(call.principal.quota_key)
        batch.add(deletion_of(call.principal.project_id, score_id, call.received_us))
        await self.publish(call, batch)
        metrics.EVENTS_IN.labels("score").inc()
        return Response(202, _encode(ACCEPTED))
