"""Datasets of examples, which experiments run on."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import msgspec

from producers.documents.kind import DocumentBody


class Dataset(DocumentBody, frozen=True, kw_only=True):
    """A dataset. Its id depends on the project and the name, so that names are unique."""

    kind: ClassVar = "dataset"
    per_project_max: ClassVar = 10_000
    is_cached: ClassVar = True

    name: str
    description: str | None = None
    metadata: Any = None
    input_schema: dict[str, Any] | None = None
    """JSON schema of the inputs of items; None: any."""
    expected_output_schema: dict[str, Any] | None = None

    def found_by_name(self) -> str:
        return self.name


def dataset_id(project_id: str, name: str) -> str:
    """Return the id of the dataset with a name."""
    identity = msgspec.json.encode(["dataset", project_id, name])
    return hashlib.sha256(identity).hexdigest()[:24]
