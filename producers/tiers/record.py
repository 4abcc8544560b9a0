"""Define the record of a user's tier on the topic ``tiers``, and the rules for its fields.

A record's key is ``project_id/user_id``; project ids contain no slash. Its value is a ``Tier`` as
JSON, or null if the user no longer has one. The last record of a key is valid.
"""

from __future__ import annotations

from typing import Final

import msgspec

from producers.kafka.topics import Cleanup, Partitions, Topic

TIERS: Final = Topic("tiers", Partitions.ONE, Cleanup.COMPACT)
TIER_CHARS_MAX: Final = 100
"""Maximum length of the name of a tier."""


class Tier(msgspec.Struct, frozen=True, gc=False):
    """The tier of a user, or that a user has none."""

    project_id: str
    user_id: str
    tier: str
    """Empty: the user has no tier."""


class _Value(msgspec.Struct, gc=False):
    tier: str


_decode: Final = msgspec.json.Decoder(_Value).decode


def key_of(project_id: str, user_id: str) -> bytes:
    """Return the key of a user's record."""
    return f"{project_id}/{user_id}".encode()


def value_of(tier: Tier) -> bytes | None:
    """Return the value of a user's record; None if the user has no tier."""
    return msgspec.json.encode(tier) if tier.tier else None


def tier_of(key: bytes, value: bytes | None) -> Tier:
    """Return the tier that a record describes.

    Raises:
        ValueError: it is not a record of a tier.
    """
    project_id, slash, user_id = key.decode().partition("/")
    if not slash:
        raise ValueError(f"not a key of a tier: {key[:100]!r}")
    return Tier(project_id, user_id, "" if value is None else _decode(value).tier)
