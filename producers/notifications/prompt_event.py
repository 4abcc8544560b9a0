"""Define what events about prompts contain, and create their alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from producers.control.kinds.prompt import prompt_id
from producers.control.kinds.prompt_change import PromptChange
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType

RULE_KIND: Final = "prompt"


class ChangedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a prompt after a change; a deleted one as it was before."""

    id: str
    name: str
    version: int
    type: str
    labels: list[str]
    tags: list[str]


class PromptEventData(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of an event about a version of a prompt."""

    action: str
    """``created``, ``updated`` or ``deleted``."""
    prompt: ChangedPrompt
    added_labels: list[str] = []
    removed_labels: list[str] = []
    author: str = ""
    """Public key of the client."""


class PromptEvent(EventType[PromptEventData]):
    """Base class of the event types about prompts."""

    payload = PromptEventData
    is_alert = False
    action: ClassVar[str]

    def webhook_data(self, alert: Alert, payload: PromptEventData) -> Mapping[str, object]:  # noqa: ARG002
        """Return the member ``data`` of the webhook body."""
        data: dict[str, Any] = msgspec.to_builtins(payload)
        return data


def alerts_of_change(change: PromptChange, actions: Mapping[str, str]) -> Iterator[Alert]:
    """Yield the alerts of a change; their ids are the same each time.

    Args:
        change: the change.
        actions: the action of each event.
    """
    subject = prompt_id(change.project_id, change.name)
    for index, each in enumerate(change.versions):
        payload = PromptEventData(
            action=actions[each.event],
            prompt=ChangedPrompt(
                id=each.id,
                name=change.name,
                version=each.version,
                type=change.type,
                labels=list(each.labels),
                tags=list(change.tags),
            ),
            added_labels=list(each.added),
            removed_labels=list(each.removed),
            author=change.author,
        )
        identity = f"{change.project_id}/{change.id}/{index}"
        yield Alert(
            project_id=change.project_id,
            id=hashlib.blake2b(identity.encode(), digest_size=16).hexdigest(),
            event=each.event,
            rule_kind=RULE_KIND,
            rule_id=subject,
            name=change.name,
            labels={"prompt": change.name},
            episode=subject,
            severity="info",
            payload=msgspec.Raw(msgspec.json.encode(payload)),
            created_us=change.created_us,
        )
