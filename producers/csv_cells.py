"""Write values as cells of CSV that a spreadsheet shows, and does not run as formulas."""

from __future__ import annotations

import json
from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: Any) -> str:
    """Return a value for CSV: empty for None, JSON for lists and objects.

    A text that a spreadsheet would run as a formula begins with an apostrophe; numbers are not
    changed, also as texts.
    """
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    is_number = not isinstance(value, str) or _is_number(text)
    return text if is_number or not text.startswith(_FORMULA) else f"'{text}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
