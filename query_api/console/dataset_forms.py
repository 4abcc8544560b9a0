"""Read the forms of datasets and of their items, and fill them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from query_api.console.form_bodies import VERSION
from query_api.console.form_faults import body_with_field_faults, json_field
from query_api.documents.document import Document, version_of
from query_api.langfuse.dataset_bodies import DatasetBody, DatasetItemBody


@dataclass(frozen=True, slots=True)
class DatasetForm:
    """What the form of a dataset contains."""

    name: str = ""
    description: str = ""
    metadata: str = ""
    input_schema: str = ""
    expected_output_schema: str = ""
    version: str = ""
    """Version of the dataset that the form shows; empty: it is a new one."""

    def body(self) -> DatasetBody:
        """Return the body of the request that creates or changes the dataset.

        Raises:
            FormError: a field is invalid.
        """
        fields = {
            "metadata": self.metadata,
            "input_schema": self.input_schema,
            "expected_output_schema": self.expected_output_schema,
        }
        given: dict[str, Any] = {name: json_field(fields, name) for name in fields}
        # The body has the names of the API's fields.
        return body_with_field_faults(
            DatasetBody,
            {
                "name": self.name,
                "description": self.description,
                "metadata": given["metadata"],
                "inputSchema": given["input_schema"],
                "expectedOutputSchema": given["expected_output_schema"],
            },
        )


@dataclass(frozen=True, slots=True)
class ItemForm:
    """What the form of an item contains: JSON, or a text that is not JSON."""

    id: str = ""
    input: str = ""
    expected_output: str = ""
    metadata: str = ""
    source_trace_id: str = ""
    is_new: bool = True
    version: str = ""
    """Version of the item that the form shows."""

    def body(self, dataset: str) -> DatasetItemBody:
        """Return the body of the request that creates or changes the item.

        Raises:
            FormError: a field is invalid.
        """
        given: dict[str, Any] = {
            "datasetName": dataset,
            "input": _value_of(self.input),
            "expectedOutput": _value_of(self.expected_output),
            "metadata": json_field({"metadata": self.metadata}, "metadata"),
        }
        if self.id:
            given["id"] = self.id
        if self.source_trace_id:
            given["sourceTraceId"] = self.source_trace_id
        return body_with_field_faults(DatasetItemBody, given)


def dataset_form_of(fields: Mapping[str, str]) -> DatasetForm:
    """Return the form that a browser sent."""
    return DatasetForm(
        fields.get("name", "").strip(),
        fields.get("description", "").replace("\r\n", "\n"),
        fields.get("metadata", ""),
        fields.get("input_schema", ""),
        fields.get("expected_output_schema", ""),
        fields.get(VERSION, ""),
    )


def form_of_dataset(dataset: Dataset) -> DatasetForm:
    """Return the form that would create a dataset again."""
    return DatasetForm(
        dataset.name,
        dataset.description or "",
        _json(dataset.metadata),
        _json(dataset.input_schema),
        _json(dataset.expected_output_schema),
        version_of(dataset),
    )


def item_form_of(fields: Mapping[str, str]) -> ItemForm:
    """Return the form that a browser sent."""
    return ItemForm(
        fields.get("id", "").strip(),
        fields.get("input", "").replace("\r\n", "\n"),
        fields.get("expected_output", "").replace("\r\n", "\n"),
        fields.get("metadata", ""),
        fields.get("source_trace_id", "").strip(),
        is_new=not fields.get("is_change"),
        version=fields.get(VERSION, ""),
    )


def form_of_item(item: Document[DatasetItem]) -> ItemForm:
    """Return the form that would create an item again."""
    body = item.body
    return ItemForm(
        item.id,
        _text(body.input),
        _text(body.expected_output),
        _json(body.metadata),
        body.source_trace_id or "",
        is_new=False,
        version=version_of(body),
    )


def _value_of(text: str) -> Any:
    """Return a JSON value, or the text itself if it begins with no JSON."""
    stripped = text.strip()
    if not stripped:
        return None
    is_json = stripped[0] in '{["' or stripped in {"true", "false", "null"}
    if not is_json and not _is_number(stripped):
        return text
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        return text


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal() and text.isascii()


def _text(value: Any) -> str:
    """Return a value as the form shows it: a text that means the same value."""
    if isinstance(value, str) and value and _value_of(value) == value:
        return value
    return _json(value)


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)
