"""Compiles functions of one expression, so that a key takes one call for any set of dimensions.

Expressions consist of names from the registry, which are identifiers, and of literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def compiled(arguments: str, expression: str, names: Mapping[str, object] | None = None) -> Any:
    """Compile a function.

    Args:
        arguments: names of its arguments.
        expression: its result.
        names: objects that the expression refers to besides the arguments.
    """
    return eval(f"lambda {arguments}: {expression}", dict(names or {}))  # noqa: S307  # see above


def tuple_of(parts: Iterable[str]) -> str:
    """Return the expression of a tuple."""
    return f"({''.join(f'{part}, ' for part in parts)})"
