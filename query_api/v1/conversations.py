"""Read the conversation of a session: its traces with input and output, in order."""

from __future__ import annotations

from typing import Final

import msgspec
from pydantic import Field

from producers.token_sides import tokens_of
from query_api import cursors
from query_api.json_texts import Shown, shown
from query_api.money import usd_text
from query_api.numbers import Whole
from query_api.pages import NativeMeta
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.traces import FindTraces
from query_api.store.reader import Reader
from query_api.store.rows import TRACE_WHOLE, StoredTrace
from query_api.store.trace_reading import (
    IdOfTrace,
    fill_io_from_root_observation,
    read_traces,
)
from query_api.times import InstantUs, iso, iso_or_none
from query_api.v1.parameters import NativeParameters
from query_api.v1.shapes.owner import SessionOut
from query_api.v1.spend_amounts import Tokens

TURNS_MAX: Final = 100


class _Position(msgspec.Struct):
    start_us: InstantUs
    id: str


class ConversationParameters(NativeParameters):
    """Paging, the earliest trace first."""

    limit: Whole = Field(default=50, ge=1, le=TURNS_MAX)
    cursor: cursors.CursorText | None = Field(
        default=None, description="`meta.cursor` of the previous page."
    )

    def after(self) -> tuple[int, str] | None:
        if self.cursor is None:
            return None
        position = cursors.decode(self.cursor, _Position)
        return position.start_us, position.id


class Turn(msgspec.Struct, kw_only=True):
    trace_id: str
    name: str | None
    user_id: str | None
    environment: str
    start: str
    end: str | None
    latency_ms: float | None
    input: Shown
    output: Shown
    level: str
    observations: int
    errors: int
    cost_usd: str
    unpriced: int
    """Number of observations without a known price; the cost does not include them."""
    tokens: Tokens


class Conversation(msgspec.Struct):
    session: SessionOut
    turns: list[Turn]
    meta: NativeMeta


async def read_turns(
    reader: Reader, project_id: str, session_id: str, parameters: ConversationParameters
) -> tuple[list[Turn], NativeMeta]:
    """Read a page of the traces of a session."""
    query = FindTraces(
        project_id,
        (Condition(TRACE_COLUMNS["sessionId"], "eq", session_id),),
        descending=False,
        limit=parameters.limit + 1,
        after=parameters.after(),
    )
    found = [row.id for row in await reader.rows(query, IdOfTrace)]
    ids = found[: parameters.limit]
    by_id = await read_traces(reader, project_id, ids, TRACE_WHOLE)
    traces = [by_id[trace_id] for trace_id in ids if trace_id in by_id]
    await fill_io_from_root_observation(reader, traces)
    cursor = None
    if len(found) > len(ids) and traces:
        cursor = cursors.encode(_Position(traces[-1].start_us, traces[-1].id))
    return [_turn(each) for each in traces], NativeMeta(cursor is not None, cursor)


def _turn(trace: StoredTrace) -> Turn:
    has_end = trace.end_us >= trace.start_us
    return Turn(
        trace_id=trace.id,
        name=trace.name or None,
        user_id=trace.user_id or None,
        environment=trace.environment,
        start=iso(trace.start_us),
        end=iso_or_none(trace.end_us),
        latency_ms=(trace.end_us - trace.start_us) / 1000 if has_end else None,
        input=shown(trace.input),
        output=shown(trace.output),
        level=trace.level,
        observations=trace.observation_count,
        errors=trace.error_count,
        cost_usd=usd_text(trace.total_cost_pico),
        unpriced=trace.unpriced_count,
        tokens=Tokens(*tokens_of(trace.usage)),
    )
