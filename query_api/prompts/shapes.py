"""Show prompts in the format of Langfuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from producers.control.kinds.prompt import PRODUCTION, Prompt, PromptType
from producers.control.kinds.prompt_version import PromptVersion
from producers.prompts.composition import Source
from query_api.pages import PageMeta
from query_api.prompts.library import FoundVersion
from query_api.times import iso


class PromptNode(msgspec.Struct):
    id: str
    name: str
    version: int


class ResolutionGraph(msgspec.Struct):
    root: PromptNode
    dependencies: dict[str, list[PromptNode]]
    """The prompts that each prompt includes, by the id of the including one."""


class PromptOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    name: str
    version: int
    type: PromptType
    prompt: Any
    """A string, or an array of messages and placeholders."""
    config: Any
    labels: list[str]
    tags: list[str]
    commit_message: str | None
    resolution_graph: ResolutionGraph | None
    """The included prompts; null if there are none, or if they were not resolved."""
    is_active: bool
    """Whether the version has the label `production`."""
    project_id: str
    created_by: str
    created_at: str
    updated_at: str


class PromptMetaOut(msgspec.Struct, rename="camel", kw_only=True):
    name: str
    type: PromptType
    versions: list[int]
    labels: list[str]
    tags: list[str]
    last_updated_at: str
    last_config: Any
    """Config of the highest of these versions."""


class PromptList(msgspec.Struct):
    data: list[PromptMetaOut]
    meta: PageMeta
    pagination: PageMeta
    """The same as `meta`, for older SDKs."""


def shown_prompt(
    found: FoundVersion,
    content: Any = None,
    included: Mapping[str, Sequence[Source]] | None = None,
) -> PromptOut:
    """Return a version; ``content`` and ``included`` are set if its references were resolved."""
    prompt, record = found.prompt, found.record
    labels = prompt.labels_of(record.version)
    return PromptOut(
        id=record.id,
        name=prompt.name,
        version=record.version,
        type=record.type,
        prompt=msgspec.Raw(record.content.encode()) if content is None else content,
        config=msgspec.Raw(record.config.encode()),
        labels=labels,
        tags=list(prompt.tags),
        commit_message=record.commit_message,
        resolution_graph=_graph(record, included) if included else None,
        is_active=PRODUCTION in labels,
        project_id=record.project_id,
        created_by=record.created_by or "API",
        created_at=iso(record.created_us),
        updated_at=iso(prompt.versions[record.version]),
    )


def shown_meta(prompt: Prompt, versions: Sequence[int], config: str) -> PromptMetaOut:
    """Return a prompt with some of its versions; ``config`` is JSON text."""
    chosen = set(versions)
    return PromptMetaOut(
        name=prompt.name,
        type=prompt.type,
        versions=sorted(versions),
        labels=[label for label, number in prompt.labels.items() if number in chosen],
        tags=list(prompt.tags),
        last_updated_at=iso(max(prompt.versions[number] for number in versions)),
        last_config=msgspec.Raw(config.encode()),
    )


def _graph(record: PromptVersion, included: Mapping[str, Sequence[Source]]) -> ResolutionGraph:
    return ResolutionGraph(
        root=PromptNode(record.id, record.name, record.version),
        dependencies={
            source_id: [PromptNode(each.id, each.name, each.version) for each in direct]
            for source_id, direct in included.items()
        },
    )
