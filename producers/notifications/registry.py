"""The registry of notification events: which types there are.

A module in ``producers.notifications.event_types`` defines a type by a subclass of ``EventType``;
webhook subscriptions, deliveries and ``/v1/alerts`` read everything else from that class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from producers.notifications import event_types
from producers.notifications.event_type import EventType


class EventTypes(Mapping[str, EventType[Any]]):
    """Event types by name."""

    def __init__(self, *types: EventType[Any]) -> None:
        """Register types.

        Raises:
            ValueError: two types have the same name.
        """
        self._types: dict[str, EventType[Any]] = {}
        for each in types:
            if self._types.setdefault(each.name, each) is not each:
                raise ValueError(f"two notification events are named {each.name!r}")

    def __getitem__(self, name: str) -> EventType[Any]:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def including(self, *types: EventType[Any]) -> EventTypes:
        """Return these types and others."""
        return EventTypes(*self._types.values(), *types)


def _defined_types() -> EventTypes:
    """Return the types that the modules of ``producers.notifications.event_types`` define."""
    found: list[EventType[Any]] = []
    for each in iter_modules(event_types.__path__, f"{event_types.__name__}."):
        module = import_module(each.name)
        found.extend(
            value()
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, EventType)
            and value.__module__ == each.name
        )
    return EventTypes(*found)


EVENT_TYPES: Final = _defined_types()
"""All types of this version."""
