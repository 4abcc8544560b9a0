"""List items of experiments: those that spans record, and those that are only linked to a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from producers.documents.kinds.dataset_item import DatasetItem
from producers.documents.kinds.dataset_run import DatasetRun, DatasetRunItem
from query_api import metrics
from query_api.context import AppContext
from query_api.documents.document import Document, document_of
from query_api.experiments.attributes import attributes_of
from query_api.experiments.listed import MEETS
from query_api.experiments.recorded import OF_EXPERIMENT, SKEW_US, RecordedItem, read_items
from query_api.store.conditions import Column, Condition, Kind
from query_api.store.queries.documents import DocumentConditions
from query_api.store.queries.recorded_experiments import EXPERIMENT_COLUMNS, ExperimentConditions
from query_api.store.rows import TRACE_WHOLE, StoredTrace
from query_api.store.trace_reading import read_traces

Position = tuple[int, str, str]
"""The start (µs) of an item, its trace and its id; linked items have the creation and no trace."""
LINKS_AT_ONCE: Final = 100
RECORDED_MAX: Final = 10 * LINKS_AT_ONCE
"""Recorded items of the traces of so many links that are looked at."""
LINKS_READ_MAX: Final = 1_000
"""Links that one page reads to find those that meet the conditions."""
_TRACE: Final = Column("trace_id", Kind.TEXT)
_IDS: Final = EXPERIMENT_COLUMNS["experimentId"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentItem:
    """An item of an experiment; ``id`` is that of its root observation, or of its link."""

    position: Position
    experiment_id: str
    name: str
    item_id: str
    dataset_id: str | None
    trace_id: str
    id: str
    start_us: int
    end_us: int
    level: str
    environment: str
    metadata: str
    input: str
    output: str
    expected_output: Any
    item_version_us: int | None
    item_metadata: Any
    experiment_metadata: Any
    description: str | None


async def page_of_items(
    context: AppContext,
    project_id: str,
    where: ExperimentConditions,
    limit: int,
    below: Position | None = None,
    *,
    io: bool = False,
) -> tuple[list[ExperimentItem], Position | None]:
    """Return a page of items, the newest first, and the position after which more follow.

    Raises:
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    rows, last = await read_items(context, project_id, where, limit, below, io=io)
    links, links_to = await _links(context, project_id, where, limit, below)
    recorded_to = None if last is None else (last.start_us, last.trace_id, last.id)
    ends = [each for each in (recorded_to, links_to) if each is not None]
    complete_to = max(ends, default=None)
    found: list[tuple[Position, RecordedItem | Document[DatasetRunItem]]] = [
        *(((each.start_us, each.trace_id, each.id), each) for each in rows),
        *((_position(each), each) for each in links),
    ]
    if complete_to is not None:
        found = [each for each in found if each[0] >= complete_to]
    found.sort(key=lambda each: each[0], reverse=True)
    page = found[:limit]
    linked = await _linked(
        context, project_id, [each for _, each in page if isinstance(each, Document)]
    )
    items = [
        _recorded(position, each) if isinstance(each, RecordedItem) else linked.get(each.id)
        for position, each in page
    ]
    # The run of a link may have been deleted meanwhile.
    kept = [each for each in items if each is not None]
    return kept, page[-1][0] if len(found) > limit else complete_to


def _position(link: Document[DatasetRunItem]) -> Position:
    return link.created_us, "", link.id


async def _links(
    context: AppContext,
    project_id: str,
    where: ExperimentConditions,
    limit: int,
    below: Position | None,
) -> tuple[list[Document[DatasetRunItem]], Position | None]:
    """Return links of items that no span records, and the position up to which they are complete.

    A link of the same item and trace is the item that spans record.
    """
    found: list[Document[DatasetRunItem]] = []
    after: tuple[int, str] | None = None
    if below is not None:
        after = (below[0] + 1, "") if below[1] else (below[0], below[2])
    parents = await _runs(context, project_id, where.conditions)
    if parents is not None and not parents:
        return [], None
    read = 0
    while True:
        conditions = DocumentConditions(
            kind=DatasetRunItem.kind,
            parents=parents or (),
            below=after,
            since_us=where.since_us,
            until_us=where.until_us,
        )
        links = await context.documents.matching(
            DatasetRunItem, project_id, conditions, LINKS_AT_ONCE
        )
        read += len(links)
        met = await _meeting(context, project_id, links, where.conditions)
        found += await _without_recorded(context, project_id, met)
        if len(links) < LINKS_AT_ONCE:
            return found, None
        after = (links[-1].created_us, links[-1].id)
        if len(found) > limit:
            return found, _position(links[-1])
        if read >= LINKS_READ_MAX:
            metrics.LIMITS_REACHED.labels("experiment_links_read_max").inc()
            return found, _position(links[-1])


async def _runs(
    context: AppContext, project_id: str, conditions: Sequence[Condition]
) -> tuple[str, ...] | None:
    """Return the runs that conditions name; None: they do not name any."""
    ids: set[str] | None = None
    for each in conditions:
        values = {"eq": (each.value,), "in": each.value}.get(each.operator)
        if not isinstance(values, tuple):
            continue
        texts = [str(value) for value in values]
        if each.column == _IDS:
            named = set(texts)
        elif each.column == EXPERIMENT_COLUMNS["experimentName"]:
            named = set()
            for text in texts:
                of_name = DocumentConditions(kind=DatasetRun.kind, name=text)
                named |= await _ids(context, project_id, of_name)
        elif each.column == EXPERIMENT_COLUMNS["datasetId"]:
            of_dataset = DocumentConditions(kind=DatasetRun.kind, parents=tuple(texts))
            named = await _ids(context, project_id, of_dataset)
        else:
            continue
        ids = named if ids is None else ids & named
    return None if ids is None else tuple(sorted(ids))


async def _ids(context: AppContext, project_id: str, conditions: DocumentConditions) -> set[str]:
    runs = await context.documents.matching(DatasetRun, project_id, conditions, LINKS_READ_MAX)
    return {each.id for each in runs}


async def _meeting(
    context: AppContext,
    project_id: str,
    links: Sequence[Document[DatasetRunItem]],
    conditions: Sequence[Condition],
) -> list[Document[DatasetRunItem]]:
    """Return the links that meet the conditions and whose run exists."""
    runs = await _documents(context, DatasetRun, project_id, {each.body.run_id for each in links})
    found = []
    for each in links:
        run = runs.get(each.body.run_id)
        if run is None:
            continue
        values = {
            EXPERIMENT_COLUMNS["experimentId"]: run.id,
            EXPERIMENT_COLUMNS["experimentName"]: run.body.name,
            EXPERIMENT_COLUMNS["experimentItemId"]: each.body.dataset_item_id,
            EXPERIMENT_COLUMNS["datasetId"]: run.body.dataset_id,
        }
        if all(MEETS[c.operator](values[c.column], c.value) for c in conditions):
            found.append(each)
    return found


async def _without_recorded(
    context: AppContext, project_id: str, links: Sequence[Document[DatasetRunItem]]
) -> list[Document[DatasetRunItem]]:
    if not links:
        return []
    of_links = (
        Condition(OF_EXPERIMENT, "in", tuple({each.body.run_id for each in links})),
        Condition(_TRACE, "in", tuple({each.body.trace_id for each in links})),
    )
    since_us = max(0, min(each.created_us for each in links) - SKEW_US)
    where = ExperimentConditions(conditions=of_links, since_us=since_us)
    rows, _ = await read_items(context, project_id, where, RECORDED_MAX)
    recorded = {
        (each.experiment_id, attributes_of(each.metadata).item_id, each.trace_id) for each in rows
    }
    return [
        each
        for each in links
        if (each.body.run_id, each.body.dataset_item_id, each.body.trace_id) not in recorded
    ]


async def _documents(
    context: AppContext, kind: Any, project_id: str, ids: Iterable[str]
) -> dict[str, Document[Any]]:
    records = await context.documents.records(kind, project_id, ids)
    return {
        id_: document_of(kind, record) for id_, record in records.items() if not record.is_deleted
    }


async def _linked(
    context: AppContext, project_id: str, links: Sequence[Document[DatasetRunItem]]
) -> Mapping[str, ExperimentItem]:
    """Return what linked items have from their traces, runs and items of datasets, by link."""
    if not links:
        return {}
    runs = await _documents(context, DatasetRun, project_id, {each.body.run_id for each in links})
    item_ids = {each.body.dataset_item_id for each in links}
    items = await _documents(context, DatasetItem, project_id, item_ids)
    trace_ids = tuple({each.body.trace_id for each in links})
    traces = await read_traces(context.reader, project_id, trace_ids, TRACE_WHOLE)
    return {
        each.id: _of_link(
            each,
            runs[each.body.run_id].body,
            items.get(each.body.dataset_item_id),
            traces.get(each.body.trace_id),
        )
        for each in links
        if each.body.run_id in runs
    }


def _of_link(
    link: Document[DatasetRunItem],
    run: DatasetRun,
    item: Document[DatasetItem] | None,
    trace: StoredTrace | None,
) -> ExperimentItem:
    body = link.body
    return ExperimentItem(
        position=_position(link),
        experiment_id=body.run_id,
        name=body.run_name,
        item_id=body.dataset_item_id,
        dataset_id=run.dataset_id,
        trace_id=body.trace_id,
        id=body.observation_id or link.id,
        start_us=trace.start_us if trace else link.created_us,
        end_us=trace.end_us if trace else 0,
        level=trace.level if trace else "DEFAULT",
        environment=trace.environment if trace else "default",
        metadata=trace.metadata if trace else "",
        input=trace.input if trace else "",
        output=trace.output if trace else "",
        expected_output=item.body.expected_output if item else None,
        item_version_us=body.item_version_us,
        item_metadata=item.body.metadata if item else None,
        experiment_metadata=run.metadata or None,
        description=run.description,
    )


def _recorded(position: Position, item: RecordedItem) -> ExperimentItem:
    found = attributes_of(item.metadata)
    return ExperimentItem(
        position=position,
        experiment_id=item.experiment_id,
        name=found.name,
        item_id=found.item_id,
        dataset_id=found.dataset_id,
        trace_id=item.trace_id,
        id=item.id,
        start_us=item.start_us,
        end_us=item.end_us,
        level=item.level,
        environment=item.environment,
        metadata=item.metadata,
        input=item.input,
        output=item.output,
        expected_output=found.expected_output,
        item_version_us=found.item_version_us,
        item_metadata=found.item_metadata,
        experiment_metadata=found.metadata,
        description=found.description,
    )
