"""Define datasets, items, runs and run items in the format of Langfuse."""

from __future__ import annotations

from typing import Any

import msgspec

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from producers.documents.kinds.dataset_run import DatasetRun, DatasetRunItem
from query_api.documents.document import Document
from query_api.langfuse.media_references import MediaReference
from query_api.times import iso


class DatasetOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    project_id: str
    name: str
    description: str | None
    metadata: Any
    input_schema: dict[str, Any] | None
    expected_output_schema: dict[str, Any] | None
    created_at: str
    updated_at: str


class DatasetItemOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    status: str
    input: Any
    expected_output: Any
    metadata: Any
    source_trace_id: str | None
    source_observation_id: str | None
    dataset_id: str
    dataset_name: str
    created_at: str
    updated_at: str
    media_references: list[MediaReference] = []


class DatasetRunOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    name: str
    description: str | None
    metadata: Any
    dataset_id: str
    dataset_name: str
    created_at: str
    updated_at: str


class DatasetRunItemOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    dataset_run_id: str
    dataset_run_name: str
    dataset_item_id: str
    trace_id: str
    observation_id: str | None
    created_at: str
    updated_at: str


class DatasetRunWithItemsOut(DatasetRunOut, kw_only=True):
    dataset_run_items: list[DatasetRunItemOut]


class DatasetIdsOut(DatasetOut, kw_only=True):
    """A dataset in the list of version 1."""

    items: list[str]
    """Ids."""
    runs: list[str]
    """Names."""


class DatasetWithItemsOut(DatasetOut, kw_only=True):
    """A dataset of version 1."""

    items: list[DatasetItemOut]
    runs: list[str]
    """Names."""


def fields_of_dataset(dataset: Document[Dataset]) -> dict[str, Any]:
    body = dataset.body
    return {
        "id": dataset.id,
        "project_id": dataset.project_id,
        "name": body.name,
        "description": body.description,
        "metadata": body.metadata,
        "input_schema": body.input_schema,
        "expected_output_schema": body.expected_output_schema,
        **_times(dataset),
    }


def dataset_out(dataset: Document[Dataset]) -> DatasetOut:
    return DatasetOut(**fields_of_dataset(dataset))


def dataset_item_out(
    item: Document[DatasetItem], references: list[MediaReference] | None = None
) -> DatasetItemOut:
    body = item.body
    return DatasetItemOut(
        id=item.id,
        status=body.status,
        input=body.input,
        expected_output=body.expected_output,
        metadata=body.metadata,
        source_trace_id=body.source_trace_id,
        source_observation_id=body.source_observation_id,
        dataset_id=body.dataset_id,
        dataset_name=body.dataset_name,
        media_references=references or [],
        **_times(item),
    )


def fields_of_run(run: Document[DatasetRun]) -> dict[str, Any]:
    body = run.body
    return {
        "id": run.id,
        "name": body.name,
        "description": body.description,
        "metadata": body.metadata,
        "dataset_id": body.dataset_id,
        "dataset_name": body.dataset_name,
        **_times(run),
    }


def dataset_run_out(run: Document[DatasetRun]) -> DatasetRunOut:
    return DatasetRunOut(**fields_of_run(run))


def dataset_run_item_out(item: Document[DatasetRunItem]) -> DatasetRunItemOut:
    body = item.body
    return DatasetRunItemOut(
        id=item.id,
        dataset_run_id=body.run_id,
        dataset_run_name=body.run_name,
        dataset_item_id=body.dataset_item_id,
        trace_id=body.trace_id,
        observation_id=body.observation_id,
        **_times(item),
    )


def _times(document: Document[Any]) -> dict[str, Any]:
    return {"created_at": iso(document.created_us), "updated_at": iso(document.updated_us)}
