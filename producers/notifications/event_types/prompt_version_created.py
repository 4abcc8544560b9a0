"""``prompt.version_created``: a version of a prompt was created."""

from __future__ import annotations

from producers.notifications.prompt_event import PromptEvent


class VersionCreated(PromptEvent):
    """The event type ``prompt.version_created``."""

    name = "prompt.version_created"
    action = "created"
