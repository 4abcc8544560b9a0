"""A cache of values computed from texts, bounded in bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

ValueT = TypeVar("ValueT")

ENTRY_BYTES: Final = 512
"""Size of an entry without its key: overhead and a small value."""
CHAR_BYTES_MAX: Final = 4


class BoundedCache(dict[str, ValueT], Generic[ValueT]):
    """A cache: ``cache[text]`` is ``compute(text)``; above the limit, the oldest are evicted.

    Args:
        compute: returns a value of at most a few hundred bytes, or one that many entries share.
        bytes_max: maximum size of all keys plus ``ENTRY_BYTES`` per entry.
        key_chars_max: maximum length of a key; longer texts are not cached, as they rarely repeat.
    """

    __slots__ = ("_bytes", "_bytes_max", "_compute", "_key_chars_max")

    def __init__(
        self, compute: Callable[[str], ValueT], *, bytes_max: int, key_chars_max: int
    ) -> None:
        super().__init__()
        self._compute = compute
        self._bytes_max = bytes_max
        self._key_chars_max = key_chars_max
        self._bytes = 0

    def __missing__(self, text: str) -> ValueT:
        value = self._compute(text)
        if len(text) <= self._key_chars_max:
            self[text] = value
            self._bytes += _bytes_of(text)
            while self._bytes > self._bytes_max:
                oldest = next(iter(self))
                del self[oldest]
                self._bytes -= _bytes_of(oldest)
        return value


def _bytes_of(text: str) -> int:
    return ENTRY_BYTES + len(text) * (1 if text.isascii() else CHAR_BYTES_MAX)
