"""Define the format of events whose trace is not yet known, on their topic.

Clients can update or score an observation without sending its trace id. If the gateway has not
seen the observation recently, the streams find its trace in the store (``streams.placement``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from tracemill.contract import Event, Observation, encode_event


class UnplacedEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """An event whose trace has to be found.

    Attributes:
        event: The event as it is used if the observation is not found; its trace id is then the id
            of the observation.
        since_us: When it was first written to the topic; 0 means the time of this record.
    """

    event: msgspec.Raw
    since_us: int = 0


_encode: Final = msgspec.json.Encoder().encode


def encode_unplaced(event: Event) -> bytes:
    """Encode an event as a line, without the newline."""
    return _encode(UnplacedEvent(msgspec.Raw(encode_event(event))))


def observation_ids(event: Event) -> tuple[str, ...]:
    """Return the ids of observations in the same trace as the event, in order of preference."""
    if isinstance(event, Observation):
        return (event.id, event.parent_id) if event.parent_id else (event.id,)
    observation_id = getattr(event, "observation_id", None)
    return (observation_id,) if observation_id else ()
