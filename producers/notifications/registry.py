"""The registry of types of notification events.

A module in ``producers.notifications.event_types`` defines a type as a subclass of ``EventType``.
Webhook subscriptions, deliveries and ``/v1/alerts`` use only this class.
"""

from __future__ import annotations

from typing import Any, Final

from producers.notifications import event_types
from producers.notifications.event_type import EventType
from producers.registration import ByName, subclasses_in


class EventTypes(ByName[EventType[Any]]):
    """Event types by name."""

    def __init__(self, *types: EventType[Any]) -> None:
        """Register types.

        Raises:
            ValueError: two types have the same name.
        """
        super().__init__("notification events", ((each.name, each) for each in types))

    def including(self, *types: EventType[Any]) -> EventTypes:
        """Return a registry with additional types."""
        return EventTypes(*self.values(), *types)


EVENT_TYPES: Final = EventTypes(*(each() for each in subclasses_in(event_types, EventType)))
"""All types of this version."""
