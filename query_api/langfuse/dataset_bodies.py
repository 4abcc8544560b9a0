"""Define the bodies of requests about datasets, and how they change documents."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from producers.documents.record import ID_CHARS_MAX
from query_api.body import AnyJson, Body, JsonObject, require_unicode
from query_api.documents.json_schema import SchemaRefusedError, check_schema
from query_api.errors import BadRequestError
from query_api.openapi.dataset_examples import (
    DATASET_REQUEST_EXAMPLE,
    ITEM_REQUEST_EXAMPLE,
    RUN_ITEM_REQUEST_EXAMPLE,
)
from query_api.times import RecordInstant

NAME_CHARS_MAX: Final = 1_000
TEXT_CHARS_MAX: Final = 10_000

Name = Annotated[
    str, Field(min_length=1, max_length=NAME_CHARS_MAX), AfterValidator(require_unicode)
]
Id = Annotated[str, Field(min_length=1, max_length=ID_CHARS_MAX), AfterValidator(require_unicode)]
Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX), AfterValidator(require_unicode)]


class DatasetBody(Body):
    """A new dataset, or changes of the one with this name.

    Absent fields do not change; null removes a schema, and does not change the other fields.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, json_schema_extra={"examples": [DATASET_REQUEST_EXAMPLE]}
    )

    name: Name
    description: Text | None = None
    metadata: AnyJson | None = None
    input_schema: JsonObject | None = Field(
        None, description="JSON schema of inputs; null removes it."
    )
    expected_output_schema: JsonObject | None = Field(
        None, description="JSON schema of expected outputs; null removes it."
    )

    def checked(self) -> DatasetBody:
        """Return the body if its schemas can be used.

        Raises:
            BadRequestError: a schema is invalid; the message names it and the path.
        """
        for field in ("input_schema", "expected_output_schema"):
            schema = getattr(self, field)
            if schema is not None:
                try:
                    check_schema(schema)
                except SchemaRefusedError as error:
                    name = to_camel(field)
                    raise BadRequestError(f"{name}: {error}", field=name) from error
        return self

    def applied(self, before: Dataset | None) -> Dataset:
        """Return the dataset after the request."""
        dataset = before or Dataset(name=self.name)
        given = {name: getattr(self, name) for name in ("description", "metadata")}
        changes = {name: value for name, value in given.items() if value is not None}
        for name in ("input_schema", "expected_output_schema"):
            if name in self.model_fields_set:
                changes[name] = getattr(self, name)
        return msgspec.structs.replace(dataset, **changes)


class DatasetItemBody(Body):
    """A new item, or changes of the one with this id; null and absent fields do not change."""

    model_config = ConfigDict(
        alias_generator=to_camel, json_schema_extra={"examples": [ITEM_REQUEST_EXAMPLE]}
    )

    dataset_name: Name
    id: Id | None = None
    input: AnyJson | None = None
    expected_output: AnyJson | None = None
    metadata: AnyJson | None = None
    source_trace_id: Id | None = None
    source_observation_id: Id | None = None
    status: Literal["ACTIVE", "ARCHIVED"] | None = None

    def applied(self, before: DatasetItem | None, dataset_id: str) -> DatasetItem:
        """Return the item after the request."""
        item = before or DatasetItem(dataset_id=dataset_id, dataset_name=self.dataset_name)
        given = self.model_dump(exclude={"dataset_name", "id"})
        changes = {name: value for name, value in given.items() if value is not None}
        return msgspec.structs.replace(item, **changes)


class RunItemBody(Body):
    """The trace of one item in a run. The run is created with its first item."""

    model_config = ConfigDict(
        alias_generator=to_camel, json_schema_extra={"examples": [RUN_ITEM_REQUEST_EXAMPLE]}
    )

    run_name: Name
    run_description: Text | None = None
    metadata: AnyJson | None = None
    dataset_item_id: Id
    trace_id: Id | None = None
    observation_id: Id | None = None
    dataset_version: RecordInstant | None = Field(
        None, description="Time as of which the item was read."
    )
    created_at: RecordInstant | None = None
