"""Changes of prompts whose events are not written yet; a job writes them and removes the change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from producers.control.kinds.prompt import Label, PromptType, VersionNumber
from producers.control.record import Microseconds, ProjectRecord

PromptEventName = Literal["prompt.version_created", "prompt.labels_changed", "prompt.deleted"]


class ChangedVersion(BaseModel):
    """A version after a change; a deleted one as it was before."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event: PromptEventName
    id: str
    version: VersionNumber
    labels: tuple[Label, ...] = ()
    added: tuple[Label, ...] = ()
    removed: tuple[Label, ...] = ()


class PromptChange(ProjectRecord):
    """One change of a prompt, written together with the change itself."""

    kind = "prompt_change"
    per_project_max = 10_000

    name: str = Field(max_length=255)
    type: PromptType
    tags: tuple[str, ...] = ()
    versions: Annotated[tuple[ChangedVersion, ...], Field(min_length=1)]
    author: str = Field("", max_length=255)
    """Public key of the client."""
    created_us: Microseconds
