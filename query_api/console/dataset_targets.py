"""Find the dataset to which a form adds items; it is created with its first ones."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel

from producers.documents.kinds.dataset import Dataset
from query_api.console.form_bodies import FormError, body_of
from query_api.documents.document import Document
from query_api.documents.documents import Documents
from query_api.errors import NotFoundError
from query_api.langfuse.dataset_bodies import DatasetBody
from query_api.langfuse.datasets import put_dataset
from query_api.v1.dataset_lookup import dataset_named

_FIELDS: Final = {"name": "dataset", "datasetName": "dataset"}
"""Fields of the form by those of the bodies."""

BodyT = TypeVar("BodyT", bound=BaseModel)


async def dataset_for_items(documents: Documents, project_id: str, name: str) -> Document[Dataset]:
    """Return the dataset with a name, which is created if there is none.

    Raises:
        FormError: the name is invalid; the field is ``dataset``.
    """
    try:
        return await dataset_named(documents, project_id, name)
    except NotFoundError:
        return await put_dataset(documents, project_id, checked_body(DatasetBody, name=name))


def checked_body(body: type[BodyT], **values: Any) -> BodyT:
    """Return a body. Raises: FormError: it is invalid; the field of its name is ``dataset``."""
    try:
        return body_of(body, values)
    except FormError as error:
        raise FormError(
            {_FIELDS.get(name, name): text for name, text in error.faults.items()}
        ) from error
