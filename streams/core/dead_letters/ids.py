"""Derive the ids of dead letters from their content.

Projects can read the ids. If an id depended on the position of the record, it would reveal how much
other projects write, because they share the topics, and a position is easily guessed from its hash.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Final

_ID_CHARS: Final = 32


class InputIds:
    """The ids of the inputs of one record; a replay of the record has the same ids."""

    def __init__(self, topic: str, append_us: int) -> None:
        self._place = f"{topic}/{append_us}"
        self._seen: Counter[bytes] = Counter()

    def id_of(self, reason: str, payload: bytes) -> str:
        """Return the id of the next input; equal inputs of the record have different ids."""
        content = sha256(payload).digest() + reason.encode()
        number = self._seen[content]
        self._seen[content] += 1
        text = f"{self._place}/{number}/".encode(errors="replace") + content
        return sha256(text).hexdigest()[:_ID_CHARS]
