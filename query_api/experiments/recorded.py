"""Read experiments that SDKs record only as attributes of spans.

An experiment whose run is also a document is that run. If the run was deleted, the items that
started until then are not read any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from producers.documents.kinds.dataset_run import DatasetRun
from query_api.context import AppContext
from query_api.store.conditions import Condition
from query_api.store.queries.recorded_experiments import (
    EXPERIMENT_COLUMNS,
    ExperimentConditions,
    FindExperimentItems,
    FindExperiments,
)

OF_EXPERIMENT: Final = EXPERIMENT_COLUMNS["experimentId"]
SKEW_US: Final = 86_400 * 1_000_000
"""Maximum time by which the clocks of clients, which set the times of spans, may be behind."""


class RecordedExperiment(msgspec.Struct, kw_only=True):
    id: str
    metadata: str
    """The metadata of an observation, with the attributes of the experiment."""
    start_us: int
    end_us: int
    item_count: int


class RecordedItem(msgspec.Struct, kw_only=True):
    """An item of an experiment, from its root observation."""

    experiment_id: str
    trace_id: str
    id: str
    start_us: int
    end_us: int
    level: str
    environment: str
    metadata: str
    input: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class RunStates:
    """The experiments whose run exists as a document, and when other runs were deleted (µs)."""

    live: frozenset[str]
    deleted_us: dict[str, int]


async def run_states(context: AppContext, project_id: str, ids: Iterable[str]) -> RunStates:
    """Return the states of the runs with the ids of experiments."""
    records = await context.documents.records(DatasetRun, project_id, ids)
    return RunStates(
        frozenset(id_ for id_, record in records.items() if not record.is_deleted),
        {id_: record.updated_us for id_, record in records.items() if record.is_deleted},
    )


async def read_experiments(
    context: AppContext,
    project_id: str,
    where: ExperimentConditions,
    limit: int,
    below: tuple[int, str] | None = None,
) -> tuple[list[RecordedExperiment], RunStates, RecordedExperiment | None]:
    """Return a page of experiments without deleted ones, their states, and the last row read.

    The row is None if there are no more experiments.
    """
    query = FindExperiments(project_id, where, limit + 1, below)
    rows = await context.reader.rows(query, RecordedExperiment)
    page = rows[:limit]
    states = await run_states(context, project_id, [each.id for each in page])
    found = []
    for each in page:
        deleted_us = states.deleted_us.get(each.id)
        if deleted_us is None:
            found.append(each)
            continue
        since_us = max(deleted_us + 1, where.since_us or 0)
        again = replace(
            where,
            conditions=(*where.conditions, Condition(OF_EXPERIMENT, "eq", each.id)),
            since_us=since_us,
        )
        found += await context.reader.rows(
            FindExperiments(project_id, again, 1), RecordedExperiment
        )
    return found, states, page[-1] if len(rows) > limit else None


async def read_items(
    context: AppContext,
    project_id: str,
    where: ExperimentConditions,
    limit: int,
    below: tuple[int, str, str] | None = None,
    *,
    io: bool = False,
) -> tuple[list[RecordedItem], RecordedItem | None]:
    """Return a page of items without those of deleted runs, and the last row read.

    The row is None if there are no more items.
    """
    query = FindExperimentItems(project_id, where, limit + 1, below, io)
    rows = await context.reader.rows(query, RecordedItem)
    page = rows[:limit]
    states = await run_states(context, project_id, {each.experiment_id for each in page})
    found = [each for each in page if each.start_us > states.deleted_us.get(each.experiment_id, -1)]
    return found, page[-1] if len(rows) > limit else None
