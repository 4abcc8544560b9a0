"""Keep numbers in JSON that are out of the range of doubles, as the text that the client wrote.

JSON allows `1e309`, but most programs read it as infinity and write it as null, and the decoder
refuses the whole text.
"""

from __future__ import annotations

import math
import re
from typing import Final

from producers import metrics

_MAYBE_HUGE: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}|(?<![0-9])[0-9]{309}")
_STRING_OR_NUMBER: Final = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL
)


def quote_huge_numbers(text: bytes) -> bytes:
    """Replace numbers that are out of range by strings, and count them."""
    if _MAYBE_HUGE.search(text) is None:
        return text
    quoted = _STRING_OR_NUMBER.sub(_quoted, text)
    if len(quoted) > len(text):
        added = (len(quoted) - len(text)) // 2  # two quotes each
        metrics.NUMBERS_QUOTED.inc(added)
    return quoted


def _quoted(found: re.Match[bytes]) -> bytes:
    token = found[0]
    if token[0] == ord('"') or math.isfinite(float(token)):
        return token
    return b'"%s"' % token
