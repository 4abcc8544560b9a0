"""Decide which dead letters can be replayed: sent to their topic again."""

from __future__ import annotations

import re
from typing import Final

from producers.sentences import Sentence

CUT_PAYLOAD: Final = re.compile(r"payload (is )?cut|cut by tracemill|payload of \d+ bytes left out")
UNREADABLE: Final = frozenset({"not_utf8", "not_json", "not_an_event"})
GATEWAY: Final = "gateway"
OBSERVATIONS: Final = "observations"
"""Stage whose dead letters are events; an event that arrives again changes no total twice."""


_CUT: Final = "its payload was too long and is not stored completely"
_REQUEST: Final = (
    "the gateway refused it, so its payload is a request, which the client must resend"
)
_UNREADABLE: Final = "its payload is not an event (%(reason)s) and would be refused again"
_NO_EVENT: Final = "only events can be replayed, and this is input of the stage %(stage)s"
TEMPLATES: Final = (_CUT, _REQUEST, _UNREADABLE, _NO_EVENT)


def why_unusable(stage: str, reason: str, detail: str) -> Sentence | None:
    """Return why no stage could process the payload of a dead letter; None: it may succeed."""
    if CUT_PAYLOAD.search(detail):
        return Sentence(_CUT)
    if stage == GATEWAY:
        return Sentence(_REQUEST)
    if reason in UNREADABLE:
        return Sentence(_UNREADABLE, {"reason": reason})
    return None


def why_not_replayed(stage: str, reason: str, detail: str, source_topic: str) -> Sentence | None:
    """Return why a project cannot replay a dead letter; None: it can.

    Rows that the store refused can contain traces that were deleted later, so that only operators
    can write them again. Events of deleted traces are dropped.
    """
    if why := why_unusable(stage, reason, detail):
        return why
    if stage != OBSERVATIONS or not source_topic.endswith(".events"):
        return Sentence(_NO_EVENT, {"stage": stage})
    return None
