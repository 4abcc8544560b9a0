"""Versions of prompts, which never change."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from producers.control.kinds.prompt import Label, PromptType, VersionNumber
from producers.control.record import Identifier, Microseconds, ProjectRecord


class PromptReference(BaseModel):
    """A version of another prompt, which the content includes; either a version or a label."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=255)
    version: VersionNumber | None = None
    label: Label | None = None

    def __str__(self) -> str:
        return f"{self.name} - " + (
            f"label {self.label}" if self.version is None else f"version {self.version}"
        )


class PromptVersion(ProjectRecord):
    """A version of a prompt. It exists for clients while its prompt lists it."""

    kind = "prompt_version"
    per_project_max = 10_000

    prompt_id: Identifier
    name: str = Field(min_length=1, max_length=255)
    version: VersionNumber
    type: PromptType
    content: str
    """JSON text: a string, or an array of messages and placeholders."""
    config: str = "{}"
    """JSON text of any value."""
    references: tuple[PromptReference, ...] = ()
    """Prompts that the content includes, each once."""
    commit_message: str | None = Field(None, max_length=500)
    created_by: str = Field("", max_length=255)
    created_us: Microseconds

    def outline(self) -> Self:
        return self.model_copy(update={"content": "", "config": ""})
