"""The registry of types of channels.

A module in ``producers.notifications.channel_types`` defines a type as a subclass of
``ChannelType``.
"""

from __future__ import annotations

from typing import Any, Final

from producers.notifications import channel_types
from producers.notifications.channel_type import ChannelType
from producers.registration import ByName, subclasses_in

CHANNEL_TYPES: Final = ByName[ChannelType[Any]](
    "types of channels",
    ((each.name, each()) for each in subclasses_in(channel_types, ChannelType)),  # type: ignore[type-abstract]
)
"""All types of this version by name."""
