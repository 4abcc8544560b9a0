"""Read and delete the runs of datasets: those that are documents, and those that spans record."""

from __future__ import annotations

import hashlib

import msgspec

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_run import DatasetRun, DatasetRunItem, run_id
from query_api import metrics
from query_api.context import AppContext
from query_api.documents.document import Document
from query_api.errors import TooManyError
from query_api.experiments.attributes import attributes_of
from query_api.experiments.recorded import (
    SKEW_US,
    RecordedExperiment,
    RecordedItem,
    read_experiments,
    read_items,
)
from query_api.store.queries.recorded_experiments import where_is

Run = Document[DatasetRun]
RunItem = Document[DatasetRunItem]


async def page_of_runs(
    context: AppContext, dataset: Document[Dataset], offset: int, limit: int
) -> tuple[list[Run], int]:
    """Return a page of the runs of a dataset, the newest first, and their number.

    Raises:
        TooManyError: spans record more than ``recorded_runs_max`` runs.
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    recorded = await _recorded_runs(context, dataset)
    skipped = max(0, offset - len(recorded))
    found, total = await context.documents.page(
        DatasetRun,
        dataset.project_id,
        offset=skipped,
        limit=limit + offset - skipped,
        parent=dataset.id,
    )
    runs = sorted([*recorded, *found], key=lambda each: (each.created_us, each.id), reverse=True)
    begin = offset - skipped
    return runs[begin : begin + limit], total + len(recorded)


async def all_runs(context: AppContext, dataset: Document[Dataset]) -> list[Run]:
    """Return all runs of a dataset. Raises like ``page_of_runs``."""
    documents = await context.documents.all(DatasetRun, dataset.project_id, parent=dataset.id)
    return [*await _recorded_runs(context, dataset), *documents]


async def run_named(context: AppContext, dataset: Document[Dataset], name: str) -> Run | None:
    """Return the run with a name; of several experiments with the name, the newest.

    Raises:
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    id_ = run_id(dataset.project_id, dataset.id, name)
    run = await context.documents.get(DatasetRun, dataset.project_id, id_)
    if run is not None:
        return run
    where = where_is(
        experimentName=name, datasetId=dataset.id, since_us=dataset.created_us - SKEW_US
    )
    found, _, _ = await read_experiments(context, dataset.project_id, where, 1)
    return _run(dataset.project_id, dataset, found[0]) if found else None


async def experiment_named(context: AppContext, project_id: str, name: str) -> Run | None:
    """Return the experiment with an id or a name, which may have no dataset.

    Raises like ``run_named``.
    """
    for where in (where_is(experimentId=name), where_is(experimentName=name)):
        found, _, _ = await read_experiments(context, project_id, where, 1)
        if found:
            return _run(project_id, None, found[0])
    return None


async def items_of_run(context: AppContext, run: Run) -> list[RunItem]:
    """Return the items of a run, the newest first.

    Raises:
        TooManyError: there are more than ``documents_of_parent_max``.
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    limit = context.settings.documents_of_parent_max
    linked = await context.documents.all(DatasetRunItem, run.project_id, parent=run.id)
    where = where_is(experimentId=run.id, since_us=run.created_us - SKEW_US)
    recorded, more = await read_items(context, run.project_id, where, limit)
    if more is not None:
        metrics.LIMITS_REACHED.labels("documents_of_parent_max").inc()
        raise TooManyError(f"the run has more than {limit} items (documents_of_parent_max)")
    known = {(each.body.dataset_item_id, each.body.trace_id) for each in linked}
    items = [_item(run, each) for each in recorded]
    items = [each for each in items if (each.body.dataset_item_id, each.body.trace_id) not in known]
    return sorted([*linked, *items], key=lambda each: (each.created_us, each.id), reverse=True)


async def delete_with_items(context: AppContext, run: Run) -> None:
    """Delete a run and its items; their traces remain.

    A run that only spans record becomes a document first, because the deletion of the document
    hides the run.

    Raises:
        UnavailableError: it was not deleted in time; the call can be repeated.
    """
    documents = context.documents
    await documents.delete_children(DatasetRunItem, run.project_id, run.id)
    if not await documents.delete(DatasetRun, run.project_id, run.id):
        await documents.change(DatasetRun, run.project_id, run.id, lambda _: run.body)
        await documents.delete(DatasetRun, run.project_id, run.id)


def item_link_id(link: DatasetRunItem) -> str:
    """Return an id that depends on what is linked, so that a repeated link adds nothing."""
    parts = [link.run_id, link.dataset_item_id, link.trace_id, link.observation_id]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


async def _recorded_runs(context: AppContext, dataset: Document[Dataset]) -> list[Run]:
    """Return the runs that are no documents."""
    limit = context.settings.recorded_runs_max
    where = where_is(datasetId=dataset.id, since_us=dataset.created_us - SKEW_US)
    found, states, more = await read_experiments(context, dataset.project_id, where, limit)
    if more is not None:
        metrics.LIMITS_REACHED.labels("recorded_runs_max").inc()
        raise TooManyError(
            f"spans record more than {limit} runs of the dataset (recorded_runs_max);"
            " read them from /api/public/experiments"
        )
    return [_run(dataset.project_id, dataset, each) for each in found if each.id not in states.live]


def _run(project_id: str, dataset: Document[Dataset] | None, experiment: RecordedExperiment) -> Run:
    attributes = attributes_of(experiment.metadata)
    body = DatasetRun(
        dataset_id=dataset.id if dataset else attributes.dataset_id or "",
        dataset_name=dataset.body.name if dataset else "",
        name=attributes.name,
        description=attributes.description,
        metadata=attributes.metadata or {},
    )
    return Document(project_id, experiment.id, experiment.start_us, experiment.end_us, body)


def _item(run: Run, item: RecordedItem) -> RunItem:
    attributes = attributes_of(item.metadata)
    body = DatasetRunItem(
        run_id=run.id,
        run_name=run.body.name,
        dataset_item_id=attributes.item_id,
        trace_id=item.trace_id,
        observation_id=item.id,
        item_version_us=attributes.item_version_us,
    )
    return Document(run.project_id, item_link_id(body), item.start_us, item.start_us, body)
