"""Represent several texts, such as the tags of a trace, as one value of a dimension."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Final

import msgspec

ARRAY_CHARS_MAX: Final = 4_000
"""Maximum length of an array as JSON."""
CUT_TEXT: Final = "tracemill.cut"
"""Last text of an array that does not contain all of its texts, because it would be too long."""
CACHED_ARRAYS_MAX: Final = 4_096

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(tuple[str, ...])
_CUT_CHARS: Final = len(CUT_TEXT) + 3


@lru_cache(maxsize=CACHED_ARRAYS_MAX)
def array_of(texts: frozenset[str]) -> str:
    """Return the sorted texts as a JSON array; an empty text if there are none.

    If the array exceeds ``ARRAY_CHARS_MAX``, only the first texts are kept, and then
    ``CUT_TEXT``. The result depends only on the set.
    """
    if not texts:
        return ""
    encoded = [_encode(text).decode() for text in sorted(texts)]
    if sum(map(len, encoded)) + len(encoded) + 1 <= ARRAY_CHARS_MAX:
        return f"[{','.join(encoded)}]"
    kept: list[str] = []
    free_chars = ARRAY_CHARS_MAX - 2 - _CUT_CHARS
    for text in encoded:
        free_chars -= len(text) + 1
        if free_chars < 0:
            break
        kept.append(text)
    return f"[{','.join([*kept, _encode(CUT_TEXT).decode()])}]"


@lru_cache(maxsize=CACHED_ARRAYS_MAX)
def texts_of(array: str) -> Collection[str]:
    """Return the texts of an array; none if it is empty or not an array of texts."""
    try:
        return _decoder.decode(array) if array else ()
    except msgspec.DecodeError:
        return ()
