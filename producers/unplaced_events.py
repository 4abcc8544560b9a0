"""Define the lines of the topic of events whose trace is not known yet.

Clients may update or score an observation without naming its trace. If the gateway does not
remember it, the streams look it up in the store (``streams.placement``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from tracemill.contract import Event, Observation, encode_event


class UnplacedEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """An event, and since when its trace is looked up.

    Attributes:
        event: As it becomes if its observation is not found: of a trace whose id is that of the
            observation.
        since_us: When it was first written to the topic; 0: the time of this record.
    """

    event: msgspec.Raw
    since_us: int = 0


_encode: Final = msgspec.json.Encoder().encode


def encode_unplaced(event: Event) -> bytes:
    """Encode an event as a line, without the newline."""
    return _encode(UnplacedEvent(msgspec.Raw(encode_event(event))))


def observation_ids(event: Event) -> tuple[str, ...]:
    """Return the ids of observations whose trace is that of the event; the first found decides."""
    if isinstance(event, Observation):
        return (event.id, event.parent_id) if event.parent_id else (event.id,)
    observation_id = getattr(event, "observation_id", None)
    return (observation_id,) if observation_id else ()
