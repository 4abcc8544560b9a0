"""Decide which dead letters can be replayed: sent to their topic again."""

from __future__ import annotations

import re
from typing import Final

CUT_PAYLOAD: Final = re.compile(r"payload (is )?cut|cut by tracemill|payload of \d+ bytes left out")
UNREADABLE: Final = frozenset({"not_utf8", "not_json", "not_an_event"})
GATEWAY: Final = "gateway"
OBSERVATIONS: Final = "observations"
"""Stage whose dead letters are events; an event that arrives again changes no total twice."""


def why_unusable(stage: str, reason: str, detail: str) -> str:
    """Return why no stage could process the payload of a dead letter; empty: it may succeed."""
    if CUT_PAYLOAD.search(detail):
        return "its payload was too long and is not stored completely"
    if stage == GATEWAY:
        return "the gateway refused it, so its payload is a request, which the client must resend"
    if reason in UNREADABLE:
        return f"its payload is not an event ({reason}) and would be refused again"
    return ""


def why_not_replayed(stage: str, reason: str, detail: str, source_topic: str) -> str:
    """Return why a project cannot replay a dead letter; empty: it can.

    Rows that the store refused can contain traces that were deleted later, so that only operators
    can write them again. Events of deleted traces are dropped.
    """
    if why := why_unusable(stage, reason, detail):
        return why
    if stage != OBSERVATIONS or not source_topic.endswith(".events"):
        return f"only events can be replayed, and this is input of the stage {stage}"
    return ""
