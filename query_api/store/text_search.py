r"""Search inputs and outputs, which are texts or JSON as clients sent it.

In JSON, a text has several spellings: with escaped quotes, with characters as ``\uXXXX`` (the
default of Python's ``json``), and with more escapes in JSON within JSON. A search for a text finds
each of them.
"""

from __future__ import annotations

import json
from typing import Final

NESTING_MAX: Final = 2
"""Depth of JSON within JSON in which texts are found."""


def spellings(text: str) -> tuple[str, ...]:
    """Return the text itself and its spellings in JSON, without repetitions."""
    found = {text: None}
    for is_ascii in (False, True):
        spelled = text
        for _ in range(NESTING_MAX):
            spelled = json.dumps(spelled, ensure_ascii=is_ascii)[1:-1]
            found[spelled] = None
    return tuple(found)
