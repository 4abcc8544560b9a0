"""Define texts that people write: names, authors and reasons.

They are shown in lists, messages and terminals. Control characters and characters that change the
direction of text would make one look like another.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

NAME_CHARS_MAX: Final = 255
_DIRECTIONS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_ENDS: Final = "\u2028\u2029"
_IN_LINES: Final = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_DIRECTIONS}]")
_IN_ONE_LINE: Final = re.compile(f"[\x00-\x1f\x7f-\x9f{_DIRECTIONS}{_LINE_ENDS}]")


def _require(text: str, refused: re.Pattern[str], kinds: str) -> str:
    found = refused.search(text)
    if found is not None:
        raise ValueError(
            f"U+{ord(found.group()):04X} at position {found.start()} is not allowed: there must be"
            f" no {kinds}"
        )
    return text


def require_one_line(text: str) -> str:
    """Return a text of one line.

    Raises:
        ValueError: it has control characters, line ends or characters that change the direction of
            text.
    """
    kinds = "control characters, line ends, or characters that change the direction of text"
    return _require(text, _IN_ONE_LINE, kinds)


def require_lines(text: str) -> str:
    """Return a text that may have line ends and tabs.

    Raises:
        ValueError: it has other control characters, or characters that change the direction of
            text.
    """
    kinds = "control characters or characters that change the direction of text"
    return _require(text, _IN_LINES, kinds)


def _require_name(text: str) -> str:
    if not text.strip():
        raise ValueError("a name must have a character that is not a space")
    return require_one_line(text)


OneLine = Annotated[str, AfterValidator(require_one_line)]
"""A text of one line."""
Lines = Annotated[str, AfterValidator(require_lines)]
"""A text that may have several lines."""
RecordName = Annotated[
    str, Field(min_length=1, max_length=NAME_CHARS_MAX), AfterValidator(_require_name)
]
"""The name of a record, such as a rule or a channel."""
