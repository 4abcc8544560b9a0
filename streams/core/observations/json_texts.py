"""Decodes JSON in clients' texts without raising; no other module of the core decodes it.

A text that is no JSON, is nested deeper than ``DEPTH_MAX`` or is longer than ``CHARS_MAX`` has no
value. A value can be encoded again from any depth of the stack: parsers and encoders recurse into
nested values, so the depth is bounded here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

DEPTH_MAX: Final = 64
"""Objects and lists inside each other."""
CHARS_MAX: Final = 16 * 2**20
"""Above every text that a record can carry: the time to parse one is bounded by what it took to
send it."""

_decode: Final = msgspec.json.Decoder().decode


def json_of(text: str) -> Any:
    """Decode a JSON text; ``None`` for null and for a text without a value."""
    if len(text) > CHARS_MAX:
        return None
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    # Fewer brackets than levels: most texts need no closer look.
    if text.count("[") + text.count("{") > DEPTH_MAX and not _is_within(value, DEPTH_MAX):
        return None
    return value


def _is_within(value: Any, depth_max: int) -> bool:
    """Whether ``value`` is nested at most ``depth_max`` deep, level by level."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth_max):
        if not level:
            return True
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return not level
