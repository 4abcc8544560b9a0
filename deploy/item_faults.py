"""Say why an item of a file cannot be sent, so that its line is refused and the others are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from producers.documents.record import ID_CHARS_MAX

STATUSES: Final = ("ACTIVE", "ARCHIVED")
_TEXTS: Final = ("id", "source_trace_id", "source_observation_id")


def json_value(text: str) -> Any:
    """Return the value of a JSON text, of which each number must be finite.

    Raises:
        ValueError: it is not JSON, such as ``NaN``.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, parse_constant=_refuse_constant)


def fault_of(item: Mapping[str, Any]) -> str:
    """Return the reason why an item cannot be sent, which names the field; empty: it can."""
    for name in _TEXTS:
        value = item.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= ID_CHARS_MAX):
            return f"{name}: must be a text of at most {ID_CHARS_MAX} characters"
    status = item.get("status")
    if status is not None and status not in STATUSES:
        return f"status: must be {' or '.join(STATUSES)}, not {str(status)[:64]!r}"
    if item.get("id") in (None, "") and item.get("input") is None:
        return "input: an item without an id needs one"
    for name, value in item.items():
        try:
            json.dumps(value, allow_nan=False)
            msgspec.json.encode(value)
        except (ValueError, OverflowError, RecursionError) as error:
            return f"{name}: it cannot be stored as JSON: {error}"
    return ""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
