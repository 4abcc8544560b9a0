"""Mark summaries: observations that repeat the usage of their descendants.

The rows of traces list them, with the amounts that they count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from query_api.store.reader import Reader
from query_api.store.rows import TRACE_SUMMARIES, StoredObservation, StoredTrace
from query_api.store.trace_reading import read_traces


async def mark_summaries(
    reader: Reader, project_id: str, rows: Sequence[StoredObservation]
) -> None:
    """Set ``counted`` of the summaries among observations of a project, of one or more traces."""
    of_calls = [row for row in rows if row.usage or row.total_cost_pico]
    traces = await read_traces(
        reader, project_id, (row.trace_id for row in of_calls), TRACE_SUMMARIES
    )
    for row in of_calls:
        trace = traces.get(row.trace_id)
        if trace is not None:
            row.counted = trace.summaries.get(row.id)


def mark_summaries_of(trace: StoredTrace, rows: Iterable[StoredObservation]) -> None:
    """Set ``counted`` of the summaries among observations of one trace."""
    for row in rows:
        row.counted = trace.summaries.get(row.id)
