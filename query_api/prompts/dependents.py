"""Resolve references among the prompts of a project, and refuse changes that break others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import msgspec

from producers.control.kinds.prompt import Prompt, prompt_id
from producers.control.kinds.prompt_version import PromptReference, PromptVersion
from producers.control.view import ControlView
from producers.prompts.composition import (
    Composer,
    CompositionError,
    Resolved,
    Source,
    TooLongError,
)
from query_api import metrics
from query_api.errors import BadRequestError

DEPENDENTS_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a project; one of them may be replaced by another state."""

    view: ControlView
    project_id: str
    changed_name: str = ""
    changed: Prompt | None = None
    """The prompt ``changed_name`` after a change; None: it is deleted."""
    new: PromptVersion | None = None
    """A version that the change creates."""

    def prompt(self, name: str) -> Prompt | None:
        """Return a prompt; None if there is none."""
        if name == self.changed_name:
            return self.changed
        return self.view[Prompt].get(prompt_id(self.project_id, name))

    def find(self, reference: PromptReference) -> Source | None:
        """Return the version that a reference means; None if there is none."""
        prompt = self.prompt(reference.name)
        if prompt is None:
            return None
        number = reference.version
        if number is None:
            number = prompt.labels.get(reference.label or "")
        if number is None or number not in prompt.versions:
            return None
        record = self._record(prompt.id_of_version(number))
        return None if record is None else source_of(record)

    def resolve(self, record: PromptVersion, text_max_chars: int) -> Resolved:
        """Return a version with the prompts that it includes. Raises like ``Composer.resolve``."""
        try:
            return Composer(self.find, text_max_chars).resolve(source_of(record))
        except TooLongError:
            metrics.LIMITS_REACHED.labels("prompt_resolved_max_chars").inc()
            raise

    def versions_with_references(self) -> list[PromptVersion]:
        """Return the existing versions that include others."""
        records = list(self.view.in_project(PromptVersion, self.project_id).values())
        if self.new is not None:
            records.append(self.new)
        found = []
        for record in records:
            if record.references:
                prompt = self.prompt(record.name)
                if prompt is not None and record.version in prompt.versions:
                    found.append(record)
        return found

    def _record(self, record_id: str) -> PromptVersion | None:
        if self.new is not None and self.new.id == record_id:
            return self.new
        return self.view[PromptVersion].get(record_id)


def source_of(record: PromptVersion) -> Source:
    """Return a version as the composition reads it."""
    return Source(
        id=record.id,
        name=record.name,
        version=record.version,
        is_text=record.type == "text",
        references=record.references,
        content=lambda: msgspec.json.decode(record.content),
    )


def check_dependents(
    current: Prompts,
    name: str,
    changed: Prompt | None,
    new: PromptVersion | None,
    text_max_chars: int,
) -> None:
    """Check that a new version, and all versions that include the prompt, can be resolved.

    Raises:
        BadRequestError: a version that can be resolved now could not be resolved any more.
    """
    after = Prompts(current.view, current.project_id, name, changed, new)
    if new is not None and new.references:
        try:
            after.resolve(new, text_max_chars)
        except CompositionError as error:
            raise BadRequestError(f"prompt: {error}", field="prompt") from None
    including = _including(after.versions_with_references(), name)
    faults = []
    for record in including:
        if new is not None and record.id == new.id:
            continue
        reason = _fault(after, record, text_max_chars)
        if reason and not _fault(current, record, text_max_chars):
            faults.append(f"{record.name} v{record.version}: {reason}")
    if faults:
        more = len(faults) - DEPENDENTS_SHOWN_MAX
        shown = "\n".join(faults[:DEPENDENTS_SHOWN_MAX]) + (
            f"\nand {more} more" if more > 0 else ""
        )
        raise BadRequestError(
            f"Other prompts are depending on '{name}' and could not be resolved any more:\n\n"
            f"{shown}\n\nPlease change or delete the dependent prompts first.",
            field="prompt",
        )


def _fault(prompts: Prompts, record: PromptVersion, text_max_chars: int) -> str:
    try:
        prompts.resolve(record, text_max_chars)
    except CompositionError as error:
        return str(error)
    return ""


def _including(records: list[PromptVersion], name: str) -> list[PromptVersion]:
    """Return the versions that include a prompt, directly or through others."""
    by_included: defaultdict[str, list[PromptVersion]] = defaultdict(list)
    for record in records:
        for included in {reference.name for reference in record.references}:
            by_included[included].append(record)
    found: dict[str, PromptVersion] = {}
    names, seen = [name], {name}
    while names:
        for record in by_included[names.pop()]:
            found[record.id] = record
            if record.name not in seen:
                seen.add(record.name)
                names.append(record.name)
    return list(found.values())
