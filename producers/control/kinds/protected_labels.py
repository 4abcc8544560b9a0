"""Labels of prompts that only keys with the scope ``admin`` can set, move or remove."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from producers.control.kinds.prompt import LABELS_MAX, Label
from producers.control.record import Microseconds, ProjectRecord


class ProtectedLabels(ProjectRecord):
    """The protected labels of a project; the id is that of the project."""

    kind = "protected_labels"
    plural = "protected labels"

    labels: tuple[Label, ...] = Field((), max_length=LABELS_MAX)
    created_us: Microseconds

    @model_validator(mode="after")
    def _check_id(self) -> Self:
        if self.id != self.project_id:
            raise ValueError("id: must equal project_id")
        return self
