"""Find datasets by the name in a request."""

from __future__ import annotations

from producers.documents.kinds.dataset import Dataset, dataset_id
from query_api.documents.document import Document
from query_api.documents.documents import Documents
from query_api.errors import NotFoundError


async def dataset_named(documents: Documents, project_id: str, name: str) -> Document[Dataset]:
    """Return a dataset of a project.

    Raises:
        NotFoundError: there is none.
        UnavailableError, TooCostlyError: like ``Documents.get``.
    """
    dataset = await documents.get(Dataset, project_id, dataset_id(project_id, name))
    if dataset is None:
        raise NotFoundError(f"no dataset {name[:100]!r}")
    return dataset
