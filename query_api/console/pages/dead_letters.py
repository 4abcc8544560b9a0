"""Show a dead letter, and replay some."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from producers.dead_letter_replays import why_not_replayed
from query_api.console.form_bodies import body_of
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.responses import see_other
from query_api.errors import BadRequestError
from query_api.v1.dead_letter_replays import ReplayBody, replays_of, request_replay, shown_replay
from query_api.v1.dead_letters import DEAD_LETTER_ID_MAX, read_dead_letter

PAYLOAD_CHARS: Final = 20_000
BETWEEN: Final = "\n"
"""Between ids in the hidden field of a form."""


async def show(view: View) -> Response:
    """Show a dead letter with the beginning of its payload."""
    letter_id: str = view.request.path_params["dead_letter_id"]
    if len(letter_id) > DEAD_LETTER_ID_MAX:
        message = f"dead_letter_id: must have at most {DEAD_LETTER_ID_MAX} characters"
        raise BadRequestError(message, field="dead_letter_id")
    letter = await read_dead_letter(view.context, view.project_id, letter_id)
    replays = replays_of(view.context, view.project_id)
    latest = next((each for each in replays if letter.id in each.dead_letter_ids), None)
    return view.render(
        "dead_letter.html",
        letter=optional(letter),
        why_not=why_not_replayed(
            letter.stage, letter.reason, letter.detail, letter.source_topic or ""
        ),
        payload=letter.payload[:PAYLOAD_CHARS],
        is_cut=len(letter.payload) > PAYLOAD_CHARS,
        replay=None if latest is None else shown_replay(view.context, latest),
        was_requested=bool(view.parameter("requested")),
    )


async def replay(view: View) -> Response:
    """Request the replay of the dead letters of a form."""
    ids = [each for each in view.form.get("ids", "").split(BETWEEN) if each.strip()]
    body = body_of(ReplayBody, {"ids": [each.strip() for each in ids]})
    author = view.session.principal.public_key
    made = await request_replay(view.context, view.project_id, body, author)
    if view.form.get("from") == "list":
        return see_other(f"{view.path('operations')}?requested=1")
    (first, *_) = made.dead_letter_ids
    return see_other(f"{view.path('operations', 'dead-letters', first)}?requested=1")


REGISTERED = (
    Page("/operations/dead-letters/{dead_letter_id:path}", show),
    Action("/dead-letter-replays", replay),
)
