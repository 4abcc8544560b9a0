"""Define the normal form of environment names, which stored events and budgets share."""

from __future__ import annotations

import re
from typing import Final

from tracemill.contract import DEFAULT_ENVIRONMENT

ENVIRONMENT_CHARS_MAX: Final = 40
_PREFIX: Final = re.compile(r"^(?:langfuse[-_]?)+")
_NORMAL: Final = re.compile(r"[a-z0-9_-]+")


def normal_environment(name: str) -> str:
    """Return a name in lower case, without leading ``langfuse``, cut to 40 characters.

    Return the default environment if the result is empty or has characters other than
    ``a-z 0-9 - _``.
    """
    cut = _PREFIX.sub("", name.lower())[:ENVIRONMENT_CHARS_MAX]
    return cut if _NORMAL.fullmatch(cut) else DEFAULT_ENVIRONMENT
