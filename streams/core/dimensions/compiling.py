"""Compile functions of one expression, so that one call reads any number of dimensions.

Expressions consist of names from the registry, which are identifiers, and of literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def compiled(arguments: str, expression: str, names: Mapping[str, object] | None = None) -> Any:
    """Compile a function.

    Args:
        arguments: names of the function's arguments.
        expression: the expression that the function returns.
        names: other objects that the expression uses, by name.
    """
    return eval(f"lambda {arguments}: {expression}", dict(names or {}))  # noqa: S307  # see above


def tuple_of(parts: Iterable[str]) -> str:
    """Return the expression of a tuple."""
    return f"({''.join(f'{part}, ' for part in parts)})"
