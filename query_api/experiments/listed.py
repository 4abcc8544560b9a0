"""List all experiments of a project: those that spans record, and runs that are documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from producers.documents.kinds.dataset_run import DatasetRun, DatasetRunItem
from query_api import metrics
from query_api.context import AppContext
from query_api.documents.document import Document
from query_api.experiments.attributes import attributes_of
from query_api.experiments.recorded import (
    OF_EXPERIMENT,
    SKEW_US,
    RecordedExperiment,
    read_experiments,
)
from query_api.store.conditions import Condition, Operator
from query_api.store.queries.documents import DocumentConditions
from query_api.store.queries.recorded_experiments import (
    EXPERIMENT_COLUMNS,
    ExperimentConditions,
    FindExperiments,
)

Position = tuple[int, str]
"""The time (µs) by which experiments are sorted, and the id."""
RUNS_AT_ONCE: Final = 100
RUNS_READ_MAX: Final = 1_000
"""Runs that one page reads to find those that meet the conditions."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment; ``sorted_us`` is its last activity, or the creation of a run."""

    id: str
    name: str
    description: str | None
    dataset_id: str | None
    metadata: Any
    start_us: int
    end_us: int
    item_count: int
    sorted_us: int

    @property
    def position(self) -> Position:
        return self.sorted_us, self.id


async def page_of_experiments(
    context: AppContext,
    project_id: str,
    where: ExperimentConditions,
    limit: int,
    below: Position | None = None,
) -> tuple[list[Experiment], Position | None]:
    """Return a page of experiments, the latest first, and the position after which more follow.

    Raises:
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    rows, _, last = await read_experiments(context, project_id, where, limit, below)
    runs, runs_to = await _runs(context, project_id, where, limit, below)
    ends = [each for each in (None if last is None else (last.end_us, last.id), runs_to) if each]
    complete_to = max(ends, default=None)
    found = [*map(_of_spans, rows), *map(_of_run, runs)]
    if complete_to is not None:
        found = [each for each in found if each.position >= complete_to]
    found.sort(key=lambda each: each.position, reverse=True)
    page = found[:limit]
    items = await context.documents.children(
        DatasetRunItem, project_id, {each.id for each in runs} & {each.id for each in page}
    )
    for at, each in enumerate(page):
        if each.id in items:
            number, last_us = items[each.id]
            page[at] = replace(each, item_count=number, end_us=max(each.end_us, last_us))
    return page, page[-1].position if len(found) > limit else complete_to


async def _runs(
    context: AppContext,
    project_id: str,
    where: ExperimentConditions,
    limit: int,
    below: Position | None,
) -> tuple[list[Document[DatasetRun]], Position | None]:
    """Return runs that no span records, and the position up to which they are complete."""
    found: list[Document[DatasetRun]] = []
    position, read = below, 0
    while True:
        conditions = DocumentConditions(
            kind=DatasetRun.kind, below=position, since_us=where.since_us, until_us=where.until_us
        )
        runs = await context.documents.matching(DatasetRun, project_id, conditions, RUNS_AT_ONCE)
        read += len(runs)
        met = [each for each in runs if _meets(each, where.conditions)]
        recorded = await _recorded_ids(context, project_id, met)
        found += [each for each in met if each.id not in recorded]
        if len(runs) < RUNS_AT_ONCE:
            return found, None
        position = (runs[-1].created_us, runs[-1].id)
        if len(found) > limit:
            return found, position
        if read >= RUNS_READ_MAX:
            metrics.LIMITS_REACHED.labels("experiment_runs_read_max").inc()
            return found, position


async def _recorded_ids(
    context: AppContext, project_id: str, runs: Sequence[Document[DatasetRun]]
) -> set[str]:
    """Return the runs of which spans record items, too."""
    if not runs:
        return set()
    of_runs = Condition(OF_EXPERIMENT, "in", tuple(each.id for each in runs))
    since_us = max(0, min(each.created_us for each in runs) - SKEW_US)
    where = ExperimentConditions(conditions=(of_runs,), since_us=since_us)
    query = FindExperiments(project_id, where, len(runs))
    return {each.id for each in await context.reader.rows(query, RecordedExperiment)}


def _of_spans(row: RecordedExperiment) -> Experiment:
    found = attributes_of(row.metadata)
    return Experiment(
        row.id,
        found.name,
        found.description,
        found.dataset_id,
        found.metadata,
        row.start_us,
        row.end_us,
        row.item_count,
        row.end_us,
    )


def _of_run(run: Document[DatasetRun]) -> Experiment:
    body, at_us = run.body, run.created_us
    metadata = body.metadata or None
    return Experiment(
        run.id, body.name, body.description, body.dataset_id, metadata, at_us, at_us, 0, at_us
    )


def _meets(run: Document[DatasetRun], conditions: Sequence[Condition]) -> bool:
    values = {
        EXPERIMENT_COLUMNS["experimentId"]: run.id,
        EXPERIMENT_COLUMNS["experimentName"]: run.body.name,
        EXPERIMENT_COLUMNS["datasetId"]: run.body.dataset_id,
    }
    return all(
        each.column in values and MEETS[each.operator](values[each.column], each.value)
        for each in conditions
    )


MEETS: Final[Mapping[Operator, Callable[[str, Any], bool]]] = MappingProxyType(
    {
        "eq": lambda text, value: text == value,
        "ne": lambda text, value: text != value,
        "contains": lambda text, value: value in text,
        "lacks": lambda text, value: value not in text,
        "starts": lambda text, value: text.startswith(value),
        "ends": lambda text, value: text.endswith(value),
        "matches": lambda text, value: value.casefold() in text.casefold(),
        "in": lambda text, value: text in value,
        "not_in": lambda text, value: text not in value,
        "set": lambda text, _: text != "",
        "unset": lambda text, _: text == "",
    }
)
"""The operators of texts."""
