"""Read and change the prompts of projects.

Every change is one transaction of the control-plane log: the new version, the prompt with the
labels of all versions, and the events. A version exists while its prompt lists it, so no reader
sees a part of a change.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from producers.control.auth import DENIED, Principal
from producers.control.kinds.prompt import (
    LABELS_MAX,
    LATEST,
    PRODUCTION,
    VERSIONS_MAX,
    Prompt,
    prompt_id,
)
from producers.control.kinds.prompt_change import PromptChange
from producers.control.kinds.prompt_version import PromptVersion
from producers.control.kinds.protected_labels import ProtectedLabels
from producers.control.log import ControlLog
from producers.control.record import Change, Tombstone
from producers.errors import ForbiddenError
from producers.prompts.references import references_in, texts_of
from producers.prompts.split import slots_of
from query_api import metrics
from query_api.errors import BadRequestError, ConflictError, NotFoundError
from query_api.prompts.bodies import CreatePromptBody
from query_api.prompts.changes import (
    NewVersion,
    changed_versions,
    with_labels,
    with_version,
    without_label,
    without_versions,
)
from query_api.prompts.dependents import Prompts, check_dependents
from query_api.settings import QuerySettings, limit_setting
from query_api.store.rows import StoredObservation
from tracemill.clock import now_us


@dataclass(frozen=True, slots=True)
class Author:
    """The caller that changes prompts."""

    project_id: str
    public_key: str
    is_admin: bool
    """Whether the caller may change protected labels."""


def author_of(caller: Principal) -> Author:
    """Return the author of the changes of a caller, whose credential belongs to a project."""
    return Author(caller.project_id, caller.public_key, "admin" in caller.scopes)


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version of a prompt and the prompt itself."""

    prompt: Prompt
    record: PromptVersion


class PromptLibrary:
    """The prompts of all projects."""

    def __init__(
        self, control: ControlLog, settings: QuerySettings, clock_us: Callable[[], int] = now_us
    ) -> None:
        self._control = control
        self._settings = settings
        self._now_us = clock_us

    def find(self, project_id: str, name: str) -> Prompt | None:
        """Return a prompt; None if there is none."""
        return self._control.view[Prompt].get(prompt_id(project_id, name))

    def version(
        self, project_id: str, name: str, *, version: int | None = None, label: str | None = None
    ) -> FoundVersion:
        """Return a version by its number or label; by default, that with ``production``.

        Raises:
            NotFoundError: the prompt has no such version.
        """
        prompt = self.find(project_id, name)
        wanted = label or PRODUCTION
        if prompt is not None:
            number = version if version is not None else prompt.labels.get(wanted)
            if number in prompt.versions:
                record = self._control.view[PromptVersion].get(prompt.id_of_version(number))
                if record is not None:
                    return FoundVersion(prompt, record)
        by = f"version {version}" if version is not None else f"label '{wanted}'"
        raise NotFoundError(f"Prompt not found: '{name}' with {by}")

    def id_of(self, project_id: str, name: str, version: int) -> str | None:
        """Return the id of a version; None if it does not exist."""
        prompt = self.find(project_id, name)
        if prompt is None or version not in prompt.versions:
            return None
        return prompt.id_of_version(version)

    def mark(self, project_id: str, rows: Iterable[StoredObservation]) -> None:
        """Set ``prompt_id`` of observations; None if the version does not exist."""
        for row in rows:
            if row.prompt_name:
                row.prompt_id = self.id_of(project_id, row.prompt_name, row.prompt_version)

    def prompts(self, project_id: str) -> Iterator[Prompt]:
        """Yield the prompts of a project, sorted by name."""
        held = self._control.view.in_project(Prompt, project_id).values()
        yield from sorted(held, key=lambda each: each.name)

    def of_project(self, project_id: str) -> Prompts:
        """Return the current prompts of a project, to resolve references."""
        return Prompts(self._control.view, project_id)

    def protected(self, project_id: str) -> frozenset[str]:
        """Return the protected labels of a project."""
        record = self._control.view[ProtectedLabels].get(project_id)
        return frozenset() if record is None else frozenset(record.labels)

    async def create(self, author: Author, body: CreatePromptBody) -> FoundVersion:
        """Create the next version of a prompt.

        Raises:
            BadRequestError: the content is too large, or a reference cannot be resolved.
            ForbiddenError: a label is protected.
            ConflictError: a limit of the project is reached.
        """
        content = msgspec.json.encode(body.prompt).decode()
        config = msgspec.json.encode({} if body.config is None else body.config).decode()
        self._check_size(content, config)
        key = f"pv_{secrets.token_hex(8)}"
        created: FoundVersion | None = None

        def planned() -> Sequence[Change]:
            nonlocal created
            at_us = self._now_us()
            held = self.find(author.project_id, body.name)
            if held is not None and held.type != body.kind:
                raise BadRequestError(
                    "type: Previous versions have different prompt type. Create a new prompt with a"
                    " different name.",
                    field="type",
                )
            self._check_protected(author, body.wanted_labels)
            if held is not None and len(held.versions) >= VERSIONS_MAX:
                raise ConflictError(
                    f"a prompt has at most {VERSIONS_MAX} versions; delete some first"
                )
            _check_labels(held, body.wanted_labels)
            new = NewVersion(body.name, body.kind, body.wanted_labels, body.tags)
            prompt = with_version(
                held,
                new,
                prompt_id=prompt_id(author.project_id, body.name),
                project_id=author.project_id,
                key=key,
                at_us=at_us,
            )
            record = PromptVersion(
                id=prompt.id_of_version(prompt.last_version),
                project_id=author.project_id,
                prompt_id=prompt.id,
                name=body.name,
                version=prompt.last_version,
                type=body.kind,
                content=content,
                config=config,
                references=references_in(texts_of(body.prompt)),
                commit_message=body.commit_message,
                created_by=author.public_key,
                created_us=at_us,
            )
            self._check_limits(author.project_id, held, record)
            self._check_dependents(author.project_id, prompt.name, prompt, record)
            created = FoundVersion(prompt, record)
            return [record, prompt, *self._events(author, held, prompt, at_us)]

        await self._control.transact(planned)
        assert created is not None, "the transaction was written"
        return created

    async def set_labels(
        self, author: Author, name: str, number: int, labels: Sequence[str]
    ) -> FoundVersion:
        """Move labels to a version, which keeps those that it has.

        Raises:
            NotFoundError, ForbiddenError, BadRequestError: as for ``create``.
        """

        def changed(held: Prompt, at_us: int) -> Prompt:
            if number not in held.versions:
                raise NotFoundError(f"Prompt '{name}' version {number} not found in project")
            added = [label for label in labels if held.labels.get(label) != number]
            self._check_protected(author, added)
            _check_labels(held, added)
            return with_labels(held, number, labels, at_us)

        missing = f"Prompt '{name}' version {number} not found in project"
        await self._change(author, name, changed, missing)
        return self.version(author.project_id, name, version=number)

    async def remove_label(self, author: Author, name: str, label: str) -> None:
        """Remove a label from the version that has it. Raises like ``set_labels``."""

        def changed(held: Prompt, at_us: int) -> Prompt:
            if label not in held.labels:
                raise NotFoundError(f"Prompt not found: '{name}' with label '{label}'")
            if label == LATEST:
                raise BadRequestError("label: 'latest' cannot be removed", field="label")
            self._check_protected(author, [label])
            _check_split(held, [label])
            return without_label(held, label, at_us)

        await self._change(author, name, changed, f"Prompt not found: '{name}'")

    async def delete(
        self, author: Author, name: str, *, version: int | None, label: str | None
    ) -> None:
        """Delete a version, the version with a label, or the whole prompt.

        Raises:
            NotFoundError: there is no such version.
            BadRequestError: other prompts include what would be deleted.
            ForbiddenError: a version has a protected label.
        """

        def planned() -> Sequence[Change]:
            at_us = self._now_us()
            held = self.find(author.project_id, name)
            numbers = [] if held is None else _chosen(held, version, label)
            if held is None or not numbers:
                raise NotFoundError("Prompt not found")
            lost = [each for each, number in held.labels.items() if number in numbers]
            self._check_protected(author, [each for each in lost if each != LATEST])
            left = without_versions(held, numbers, at_us)
            if left is not None:
                _check_split(held, [each for each in lost if each not in left.labels])
            self._check_dependents(author.project_id, name, left, None)
            gone = [
                Tombstone(kind=PromptVersion.kind, id=held.id_of_version(number))
                for number in numbers
            ]
            first: Change = left or Tombstone(kind=Prompt.kind, id=held.id)
            return [first, *gone, *self._events(author, held, left, at_us)]

        await self._control.transact(planned)

    async def set_split(
        self, author: Author, name: str, changed: Callable[[Prompt], Prompt]
    ) -> Prompt:
        """Change how the traffic of a prompt is split.

        Raises:
            NotFoundError: there is no such prompt.
        """
        written = await self._control.update(Prompt, prompt_id(author.project_id, name), changed)
        if written is None:
            raise NotFoundError(f"Prompt not found: '{name}'")
        return written

    async def _change(
        self,
        author: Author,
        name: str,
        changed: Callable[[Prompt, int], Prompt],
        missing: str,
    ) -> None:
        def planned() -> Sequence[Change]:
            at_us = self._now_us()
            held = self.find(author.project_id, name)
            if held is None:
                raise NotFoundError(missing)
            prompt = changed(held, at_us)
            if prompt is held:
                return []
            self._check_dependents(author.project_id, name, prompt, None)
            return [prompt, *self._events(author, held, prompt, at_us)]

        await self._control.transact(planned)

    def _events(
        self, author: Author, before: Prompt | None, after: Prompt | None, at_us: int
    ) -> list[PromptChange]:
        versions = changed_versions(before, after)
        holder = after or before
        if not versions or holder is None:
            return []
        return [
            PromptChange(
                id=f"pch_{secrets.token_hex(12)}",
                project_id=author.project_id,
                name=holder.name,
                type=holder.type,
                tags=holder.tags,
                versions=tuple(versions),
                author=author.public_key,
                created_us=at_us,
            )
        ]

    def _check_size(self, content: str, config: str) -> None:
        size = len(content.encode()) + len(config.encode())
        if size > self._settings.prompt_max_bytes:
            metrics.LIMITS_REACHED.labels("prompt_max_bytes").inc()
            raise BadRequestError(
                f"prompt: with its config, it has {size} bytes; the maximum is"
                f" {self._settings.prompt_max_bytes}",
                field="prompt",
            )

    def _check_limits(self, project_id: str, held: Prompt | None, record: PromptVersion) -> None:
        view = self._control.view
        prompts = view.in_project(Prompt, project_id)
        versions = view.in_project(PromptVersion, project_id)
        if held is None:
            self._check_count(Prompt, len(prompts))
        self._check_count(PromptVersion, len(versions))
        self._check_count(PromptChange, len(view.in_project(PromptChange, project_id)))
        size = sum(len(each.content) + len(each.config) for each in versions.values())
        allowed = self._settings.prompts_of_project_max_bytes
        if size + len(record.content) + len(record.config) > allowed:
            metrics.LIMITS_REACHED.labels("prompts_of_project_max_bytes").inc()
            raise ConflictError(
                f"the prompts of a project have at most {allowed} bytes; delete some versions first"
            )

    def _check_count(self, record: type[Prompt | PromptVersion | PromptChange], count: int) -> None:
        setting = limit_setting(record)
        allowed = getattr(self._settings, setting)
        if count >= allowed:
            metrics.LIMITS_REACHED.labels(setting).inc()
            raise ConflictError(f"a project has at most {allowed} {record.plural}")

    def _check_protected(self, author: Author, labels: Collection[str]) -> None:
        protected = sorted(self.protected(author.project_id).intersection(labels))
        if protected and not author.is_admin:
            raise ForbiddenError(
                f"{DENIED}: labels: only a key with the scope 'admin' can set, move or remove the"
                f" protected labels {', '.join(protected)}"
            )

    def _check_dependents(
        self, project_id: str, name: str, prompt: Prompt | None, record: PromptVersion | None
    ) -> None:
        check_dependents(
            self.of_project(project_id),
            name,
            prompt,
            record,
            self._settings.prompt_resolved_max_chars,
        )


def _check_labels(prompt: Prompt | None, added: Collection[str]) -> None:
    held = set() if prompt is None else set(prompt.labels)
    if len(held | {*added, LATEST}) > LABELS_MAX:
        raise ConflictError(f"a prompt has at most {LABELS_MAX} labels; remove some first")


def _check_split(prompt: Prompt, lost: Collection[str]) -> None:
    """Check that no label of the split is lost.

    Raises:
        BadRequestError: traffic is split over one of them.
    """
    used = sorted(slots_of(prompt.split).keys() & set(lost))
    if used:
        raise BadRequestError(
            f"label: traffic is split over the label '{used[0]}'; change the split first"
            " (PUT /v1/prompts/{name}/split)",
            field="label",
        )


def _chosen(prompt: Prompt, version: int | None, label: str | None) -> list[int]:
    """Return the versions that a request names; all of them if it names none."""
    if version is not None:
        return [version] if version in prompt.versions else []
    if label is not None:
        number = prompt.labels.get(label)
        return [] if number is None else [number]
    return list(prompt.versions)
