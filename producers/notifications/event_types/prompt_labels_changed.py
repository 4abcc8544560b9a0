"""``prompt.labels_changed``: labels were added to a version of a prompt, or removed."""

from __future__ import annotations

from producers.notifications.prompt_event import PromptEvent


class LabelsChanged(PromptEvent):
    """The event type ``prompt.labels_changed``."""

    name = "prompt.labels_changed"
    action = "updated"
