"""Parse and evaluate conditions on a comparison, such as ``mean(correctness) < 0.8``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from deploy.errors import InvalidArgumentError

_CONDITION: Final = re.compile(
    r"\s*(\w+)\s*\(\s*([^()]*?)\s*\)\s*(<=|>=|==|!=|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*"
)
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_COUNTS: Final = ("regressions", "improvements", "missing", "failed")
_OF_RUNS: Final = ("mean", "p50", "p95", "max")
_DIFFERENCE: Final = "diff"
FUNCTIONS: Final = (
    "mean(MEASURE), p50(latency_ms), p95(latency_ms), max(latency_ms), diff(MEASURE),"
    " regressions(), improvements(), missing(), failed()"
)


class Condition(NamedTuple):
    """A function of a comparison, compared with a number."""

    text: str
    function: str
    measure: str
    sign: str
    threshold: float


def parse_conditions(texts: Sequence[str]) -> list[Condition]:
    """Parse the conditions of ``--fail-if``.

    Raises:
        InvalidArgumentError: a condition cannot be read.
    """
    return [_parsed(text) for text in texts]


def failed_conditions(comparison: Mapping[str, Any], conditions: Sequence[Condition]) -> list[str]:
    """Return a line for each condition that holds for the last run of a comparison.

    A condition about a measure that the run does not have holds, too, so that a gate fails if the
    measure disappears. So does one about a number that is not known, because the list is cut.
    """
    lines = []
    for text, function, measure, sign, threshold in conditions:
        value = _value(comparison, function, measure)
        if value is None:
            lines.append(f"{text}: the run has no {function}({measure})")
        elif _COMPARISONS[sign](value, threshold):
            lines.append(f"{text}: {function}({measure}) is {value:g}")
        elif function in _COUNTS and comparison["left_out"][function]:
            lines.append(f"{text}: {function}() is at least {value:g}, because the list is cut")
    return lines


def _parsed(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InvalidArgumentError(
            f"--fail-if {text!r} is not a condition like 'mean(correctness) < 0.8'; functions:"
            f" {FUNCTIONS}"
        )
    function, measure, sign, number = found.groups()
    if function not in (*_COUNTS, *_OF_RUNS, _DIFFERENCE):
        raise InvalidArgumentError(
            f"--fail-if {text!r}: there is no function {function}(); functions: {FUNCTIONS}"
        )
    if (measure == "") != (function in _COUNTS):
        takes = "takes no" if measure else "needs a"
        raise InvalidArgumentError(
            f"--fail-if {text!r}: {function}() {takes} measure; functions: {FUNCTIONS}"
        )
    try:
        threshold = float(number)
    except ValueError:
        raise InvalidArgumentError(f"--fail-if {text!r}: {number!r} is not a number") from None
    return Condition(text, function, measure, sign, threshold)


def _value(comparison: Mapping[str, Any], function: str, measure: str) -> float | None:
    run: Mapping[str, Any] = comparison["runs"][-1]
    if function in _COUNTS:
        return float(sum(each["run"] == run["name"] for each in comparison[function]))
    if function == _DIFFERENCE:
        names = (measure, f"scores.{measure}")
        for each in comparison["differences"]:
            if each["run"] == run["name"] and each["measure"] in names:
                return float(each["mean"])
        return None
    name = measure.removeprefix("scores.")
    found = run.get(measure) if measure in ("cost_usd", "latency_ms", "tokens") else None
    found = run["scores"].get(name) if found is None else found
    value = None if found is None else found.get(function)
    return None if value is None else float(value)
