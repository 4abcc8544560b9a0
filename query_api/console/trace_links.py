"""Redirect links to traces without a project, as older SDKs of Langfuse print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from producers.console_paths import project_path
from query_api.console.sessions import Session
from query_api.errors import NotFoundError
from query_api.store.reader import Reader
from query_api.store.rows import TRACE_CORE
from query_api.store.trace_reading import read_traces

TRACE_LINK: Final = "/trace/{trace_id:path}"


async def path_of_trace(reader: Reader, sessions: Sequence[Session], trace_id: str) -> str:
    """Return the path of a trace in the first project of the sessions that has it.

    Raises:
        NotFoundError: none of the projects that the sessions may read has it.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    for session in sessions:
        if "read" not in session.principal.scopes:
            continue
        if await read_traces(reader, session.project_id, [trace_id], TRACE_CORE):
            return project_path(session.project_id, "traces", trace_id)
    raise NotFoundError(f"no trace {trace_id[:128]!r}")
