"""Define what rules about scores can select: dimensions of scores, and conditions on their values.

A condition is a value, such as ``true``, ``good`` or ``0.5``, or a bound, such as ``>= 0.8``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from operator import eq, ge, gt, le, lt
from typing import Any, Final

SCORE_DIMENSIONS: Final = ("environment", "score_name", "score_source")
"""Dimensions of scores. They are fields of a score itself, so that a score of a trace that is not
known yet counts at once."""
CALL_DIMENSIONS: Final = ("model", "name", "prompt_name", "prompt_version")
"""Dimensions of the scored observation, which is looked up in the store. They are empty for scores
of whole traces and sessions."""
_BOUND: Final = re.compile(r"\s*(>=|<=|>|<)\s*(.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_SHORT_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_TRUTHS: Final = {"true": Decimal(1), "false": Decimal(0)}
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {">": gt, ">=": ge, "<": lt, "<=": le}
Matcher = Callable[[str], bool]


def condition_fault(condition: str) -> str:
    """Return why a condition is not valid; empty if it is."""
    bound = _BOUND.fullmatch(condition)
    if bound is not None and not _NUMBER.fullmatch(bound[2].strip()):
        return (
            f"{condition[:64]!r} is not allowed; a value such as true or good is expected, or a"
            " bound such as >= 0.8"
        )
    return ""


def matcher_of(condition: str) -> Matcher:
    """Return the function that compares the text of a value with a condition."""
    bound = _BOUND.fullmatch(condition)
    if bound is not None:
        return _comparison(_OPERATORS[bound[1]], Decimal(bound[2].strip()))
    number = _number_of(condition)
    same_number = None if number is None else _comparison(eq, number)

    def is_met(text: str) -> bool:
        return text == condition or (same_number is not None and same_number(text))

    return is_met


def _comparison(operator: Callable[[Any, Any], bool], number: Decimal) -> Matcher:
    def is_met(text: str) -> bool:
        value = _number_of(text)
        return value is not None and operator(value, number)

    return is_met


def _number_of(text: str) -> Decimal | None:
    """Return the number of a text; true is 1, and false is 0."""
    truth = _TRUTHS.get(text.lower())
    if truth is None and _SHORT_NUMBER.fullmatch(text):
        return Decimal(text)
    return truth
