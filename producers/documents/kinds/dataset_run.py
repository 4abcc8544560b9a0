"""Runs of experiments on datasets, and their items."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

from producers.documents.kind import DocumentBody


class DatasetRun(DocumentBody, frozen=True, kw_only=True):
    """A run. Its id depends on the project, the dataset and the name: SDKs compute it, too."""

    kind: ClassVar = "dataset_run"
    per_project_max: ClassVar = 100_000
    is_cached: ClassVar = True

    dataset_id: str
    dataset_name: str
    name: str
    description: str | None = None
    metadata: Any = None

    def parent_id(self) -> str:
        return self.dataset_id

    def found_by_name(self) -> str:
        return self.name


class DatasetRunItem(DocumentBody, frozen=True, kw_only=True):
    """The trace of one item of a dataset in a run."""

    kind: ClassVar = "dataset_run_item"
    per_project_max: ClassVar = 10_000_000

    run_id: str
    run_name: str
    dataset_item_id: str
    trace_id: str
    observation_id: str | None = None
    item_version_us: int | None = None
    """Time of the item's version that was used."""

    def parent_id(self) -> str:
        return self.run_id

    def found_by_name(self) -> str:
        return self.dataset_item_id

    def subject_id(self) -> str:
        return self.trace_id


def run_id(project_id: str, dataset_id: str, name: str) -> str:
    """Return the stable id of a run, which is the same in Langfuse's SDKs."""
    identity = ["langfuse-experiment-v1", project_id, dataset_id, name]
    text = json.dumps(identity, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
