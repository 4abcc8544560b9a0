"""The normal form of environments, in which events are stored and budgets name them."""

from __future__ import annotations

import re
from typing import Final

from tracemill.contract import DEFAULT_ENVIRONMENT

ENVIRONMENT_CHARS_MAX: Final = 40
_PREFIX: Final = re.compile(r"^(?:langfuse[-_]?)+")
_NORMAL: Final = re.compile(r"[a-z0-9_-]+")


def normal_environment(name: str) -> str:
    """Lower-case a name, strip leading ``langfuse`` and cut it to 40 characters.

    Returns the default environment if other characters than ``a-z 0-9 - _`` remain, or none.
    """
    cut = _PREFIX.sub("", name.lower())[:ENVIRONMENT_CHARS_MAX]
    return cut if _NORMAL.fullmatch(cut) else DEFAULT_ENVIRONMENT
