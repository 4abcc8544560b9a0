"""Compute the records of a prompt after a change, without I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from producers.control.kinds.prompt import LATEST, Prompt, PromptType
from producers.control.kinds.prompt_change import ChangedVersion, PromptEventName


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that a client creates."""

    name: str
    type: PromptType
    labels: Sequence[str]
    tags: Sequence[str] | None
    """None: the tags of the prompt do not change."""


def with_version(
    held: Prompt | None, new: NewVersion, *, prompt_id: str, project_id: str, key: str, at_us: int
) -> Prompt:
    """Return a prompt with another version, which gets its labels and ``latest``."""
    number = 1 if held is None else held.last_version + 1
    labels = {} if held is None else dict(held.labels)
    tags = new.tags if new.tags is not None else () if held is None else held.tags
    versions = {} if held is None else dict(held.versions)
    if held is not None and set(tags) != set(held.tags):
        versions = dict.fromkeys(versions, at_us)
    labels = _moved(labels, [*new.labels, LATEST], number)
    versions[number] = at_us
    _touch(versions, {} if held is None else held.labels, labels, at_us)
    return Prompt(
        id=prompt_id,
        project_id=project_id,
        name=new.name,
        type=new.type,
        key=key if held is None else held.key,
        versions=versions,
        last_version=number,
        labels=labels,
        tags=tuple(dict.fromkeys(tags)),
        split=() if held is None else held.split,
        created_us=at_us if held is None else held.created_us,
        updated_us=at_us,
    )


def with_labels(held: Prompt, number: int, labels: Iterable[str], at_us: int) -> Prompt:
    """Return a prompt whose labels are moved to a version; unchanged if they are on it."""
    wanted = [label for label in dict.fromkeys(labels) if held.labels.get(label) != number]
    if not wanted:
        return held
    moved = _moved(dict(held.labels), wanted, number)
    versions = dict(held.versions)
    _touch(versions, held.labels, moved, at_us)
    return held.model_copy(update={"labels": moved, "versions": versions, "updated_us": at_us})


def without_label(held: Prompt, label: str, at_us: int) -> Prompt:
    """Return a prompt without one of its labels."""
    left = {each: number for each, number in held.labels.items() if each != label}
    versions = dict(held.versions)
    _touch(versions, held.labels, left, at_us)
    return held.model_copy(update={"labels": left, "versions": versions, "updated_us": at_us})


def without_versions(held: Prompt, numbers: Collection[int], at_us: int) -> Prompt | None:
    """Return a prompt without some versions; None if no version is left.

    ``latest`` moves to the highest version that is left.
    """
    versions = {each: us for each, us in held.versions.items() if each not in numbers}
    if not versions:
        return None
    labels = {label: each for label, each in held.labels.items() if each not in numbers}
    if LATEST not in labels:
        labels[LATEST] = max(versions)
        versions[labels[LATEST]] = at_us
    return held.model_copy(update={"versions": versions, "labels": labels, "updated_us": at_us})


def changed_versions(before: Prompt | None, after: Prompt | None) -> list[ChangedVersion]:
    """Return the events of a change: of new, changed and deleted versions.

    That a version loses ``latest`` is no event, because a new version or a deletion causes it.
    """
    old = frozenset() if before is None else before.versions.keys()
    new = frozenset() if after is None else after.versions.keys()
    found: list[ChangedVersion] = []
    for number in sorted(old | new):
        was = [] if before is None else before.labels_of(number)
        now = [] if after is None else after.labels_of(number)
        added = tuple(label for label in now if label not in was)
        removed = tuple(label for label in was if label not in now)
        event: PromptEventName
        if number not in new:
            event, labels = "prompt.deleted", was
            added = removed = ()
        else:
            event, labels = "prompt.version_created", now
            if number in old:
                event = "prompt.labels_changed"
                if not {*added, *removed} - {LATEST}:
                    continue
        holder = before if after is None else after
        assert holder is not None, "a version belongs to a prompt"
        found.append(
            ChangedVersion(
                event=event,
                id=holder.id_of_version(number),
                version=number,
                labels=tuple(labels),
                added=added,
                removed=removed,
            )
        )
    return found


def _moved(labels: dict[str, int], wanted: Iterable[str], number: int) -> dict[str, int]:
    """Return the labels with some of them on a version, at the end in the given order."""
    names = list(dict.fromkeys(wanted))
    left = {label: held for label, held in labels.items() if label not in names}
    return left | dict.fromkeys(names, number)


def _touch(
    versions: dict[int, int], before: dict[str, int], after: dict[str, int], at_us: int
) -> None:
    """Set the time of the last change of the versions whose labels differ."""
    for label in before.keys() | after.keys():
        if before.get(label) != after.get(label):
            for number in (before.get(label), after.get(label)):
                if number in versions:
                    versions[number] = at_us
