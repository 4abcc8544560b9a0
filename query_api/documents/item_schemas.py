"""Check the items of datasets against the schemas of their dataset."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic.alias_generators import to_camel

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from query_api.documents.json_schema import SchemaRefusedError, compiled
from query_api.errors import BadRequestError


def check_item(dataset: Dataset, item: DatasetItem) -> None:
    """Check an item against the schemas of its dataset.

    Raises:
        BadRequestError: it does not meet them; the message names the path.
    """
    for field, schema in (
        ("input", dataset.input_schema),
        ("expected_output", dataset.expected_output_schema),
    ):
        if schema is None:
            continue
        name = to_camel(field)
        value: Any = getattr(item, field)
        try:
            fault = compiled(msgspec.json.encode(schema)).fault(value)
        except SchemaRefusedError as error:
            fault = str(error)
        if fault is not None:
            message = f"{name} does not meet the schema of the dataset: {fault}"
            raise BadRequestError(message, field=name)
