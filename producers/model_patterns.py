"""Patterns of model names, which are matched in time linear in the length of the name.

Users write the patterns, so they run on RE2, which never backtracks. RE2 does not support
backreferences and lookarounds. The time of a match is at most proportional to the size of the
automaton, so this size is limited.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import re2

PATTERN_CHARS_MAX: Final = 500
AUTOMATON_SIZE_MAX: Final = 1_000
"""Maximum number of instructions of a compiled pattern.

A literal character is one instruction. A match takes at most about 0.1 ms for a name of 200
characters.
"""
NAME_CHARS_MAX: Final = 200
"""Maximum length of a name; longer names match no pattern."""
MEMORY_MAX_BYTES: Final = 2**18
"""Maximum memory of one pattern with the cached states of its automaton."""

Matching = Literal["whole_name", "part"]
"""How a pattern is matched.

``whole_name``: the pattern matches the whole name, and case is ignored.
``part``: the pattern matches a part of the name. Case matters unless it begins with ``(?i)``.
"""

_NO_MINIMUM: Final = re.compile(r"(?<!\\)\{,[0-9]*\}")


class ModelPattern:
    """A compiled pattern."""

    __slots__ = ("_found",)

    def __init__(self, pattern: str, matching: Matching = "whole_name") -> None:
        """Compile a pattern.

        Raises:
            ValueError: the pattern is too long, too complex, or not a regular expression of RE2.
        """
        if not 0 < len(pattern) <= PATTERN_CHARS_MAX:
            raise ValueError(f"1 to {PATTERN_CHARS_MAX} characters are allowed")
        if _NO_MINIMUM.search(pattern):
            # For RE2 these braces are characters, for other engines a repetition.
            raise ValueError("a repetition needs a minimum: {0,3} instead of {,3}")
        options = re2.Options()
        options.case_sensitive = matching == "part"
        options.log_errors = False
        options.never_capture = True
        options.max_mem = MEMORY_MAX_BYTES
        try:
            compiled = re2.compile(pattern, options)
        except (re2.error, UnicodeEncodeError) as error:
            raise ValueError(_reason(error)) from error
        if compiled.programsize > AUTOMATON_SIZE_MAX:
            raise ValueError(_TOO_COMPLEX)
        self._found = compiled.fullmatch if matching == "whole_name" else compiled.search

    def matches(self, name: str) -> bool:
        """Return whether the name of a model matches."""
        # Names may contain lone surrogates, which cannot be encoded.
        return (
            len(name) <= NAME_CHARS_MAX and self._found(name.encode(errors="replace")) is not None
        )


_TOO_COMPLEX: Final = "too complex: use fewer or smaller repetitions and alternatives"


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair is not a character"
    (given,) = error.args
    text = given.decode(errors="replace") if isinstance(given, bytes) else str(given)
    if "pattern too large" in text or "repetition size" in text:
        return _TOO_COMPLEX
    return f"not a regular expression without lookarounds and backreferences (RE2): {text[:200]}"
