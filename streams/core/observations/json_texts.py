"""Decode JSON in clients' texts without raising; no other module of the core decodes it.

A text that is invalid, nested deeper than ``DEPTH_MAX`` or longer than ``CHARS_MAX`` has no value.
The depth is bounded because encoders recurse into nested values: every value can be encoded again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

DEPTH_MAX: Final = 64
"""Deepest nesting of objects and lists."""
CHARS_MAX: Final = 16 * 2**20
"""Longer than any text that fits into a record."""

_decode: Final = msgspec.json.Decoder().decode


def json_of(text: str) -> Any:
    """Decode a JSON text; None for null and for a text without a value."""
    if len(text) > CHARS_MAX:
        return None
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    # Counting brackets is fast and rules out deep nesting for most texts.
    if text.count("[") + text.count("{") > DEPTH_MAX and not _is_within(value, DEPTH_MAX):
        return None
    return value


def _is_within(value: Any, depth_max: int) -> bool:
    """Return whether ``value`` is nested at most ``depth_max`` deep, without recursion."""
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
