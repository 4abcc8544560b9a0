"""Describe validation errors: the value of the field, and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from query_api.prices.amounts import USAGE_TYPE
from query_api.prompts.names import LABEL_PATTERN

_SHOWN_MAX: Final = 64
_IN_WORDS: Final = {
    USAGE_TYPE: "1 to 100 letters (a-z), digits, spaces and _ . : / -, beginning with a letter, a"
    " digit or _",
    LABEL_PATTERN: "1 to 36 of a to z, digits and _ - .",
}
"""Descriptions of patterns."""
_EXPECTED: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
}
"""Descriptions of what is allowed, by pydantic's type of error, with values of its context."""


def message_of(issue: Mapping[str, Any]) -> str:
    """Return the message for an issue of pydantic or of one of our validators."""
    kind, context, given = issue["type"], issue.get("ctx", {}), issue.get("input")
    if kind in _EXPECTED:
        return f"{_shown(given)} is not allowed; {_EXPECTED[kind].format(**context)} is expected"
    if kind == "literal_error":
        allowed = str(context["expected"]).removeprefix("'', ").replace("'", "")
        return f"{_shown(given)} is not allowed; {allowed} is expected"
    if kind == "string_pattern_mismatch" and context["pattern"] in _IN_WORDS:
        return f"{_shown(given)} is not allowed; {_IN_WORDS[context['pattern']]} are expected"
    if kind in {"too_short", "too_long", "string_too_short", "string_too_long"}:
        unit = "characters" if isinstance(given, str) else "items"
        if "min_length" in context:
            limit = f"at least {context['min_length']} needed"
        else:
            limit = f"at most {context['max_length']} allowed"
        length = len(given) if isinstance(given, str | list | dict) else "too many or too few"
        return f"it has {length} {unit}; {limit}"
    return str(issue["msg"]).removeprefix("Value error, ")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_SHOWN_MAX])
    if isinstance(value, dict):
        return "an object"
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)[:_SHOWN_MAX]
    return "a list" if isinstance(value, list | tuple) else "this value"
