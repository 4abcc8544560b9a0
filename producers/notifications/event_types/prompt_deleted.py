"""``prompt.deleted``: a version of a prompt was deleted."""

from __future__ import annotations

from producers.notifications.prompt_event import PromptEvent


class PromptDeleted(PromptEvent):
    """The event type ``prompt.deleted``."""

    name = "prompt.deleted"
    action = "deleted"
