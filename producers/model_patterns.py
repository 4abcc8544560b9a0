"""Patterns of model names, matched in time linear in the name, whatever the pattern.

They come from users, so they run on RE2, an automaton engine that cannot backtrack. Backreferences
and lookarounds, which no automaton can match, are refused. What is left to limit is the size of the
automaton: the time for one name is at most proportional to it.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import re2

PATTERN_CHARS_MAX: Final = 500
AUTOMATON_SIZE_MAX: Final = 1_000
"""Instructions: some 0.1 ms for a name of 200 characters at worst. A literal character is one."""
NAME_CHARS_MAX: Final = 200
"""Longer names match no pattern."""
MEMORY_MAX_BYTES: Final = 2**18
"""Of one pattern, with the states of its automaton that are cached."""

Matching = Literal["whole_name", "part"]
"""``whole_name``: the pattern matches from the name's begin to its end, in any case of letters.
``part``: it is found in the name, in the case that it has unless it begins with ``(?i)``."""

_NO_MINIMUM: Final = re.compile(r"(?<!\\)\{,[0-9]*\}")


class ModelPattern:
    """A pattern, compiled."""

    __slots__ = ("_found",)

    def __init__(self, pattern: str, matching: Matching = "whole_name") -> None:
        """Compile a pattern.

        Raises:
            ValueError: it is too long, too complex, or not a regular expression of RE2.
        """
        if not 0 < len(pattern) <= PATTERN_CHARS_MAX:
            raise ValueError(f"1 to {PATTERN_CHARS_MAX} characters are allowed")
        if _NO_MINIMUM.search(pattern):
            # RE2 reads the braces as characters, other engines as a repetition.
            raise ValueError("a repetition needs its minimum: {0,3} instead of {,3}")
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
        """Return whether a model's name matches."""
        # Names may hold halves of surrogate pairs, which have no encoding.
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
