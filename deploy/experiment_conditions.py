"""Evaluate conditions on a comparison of experiments, such as ``mean(correctness) < 0.8``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from deploy.errors import MisconfiguredError

_CONDITION: Final = re.compile(
    r"\s*(\w+)\s*\(\s*([^()]*?)\s*\)\s*(<=|>=|==|!=|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*"
)
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_COUNTS: Final = ("regressions", "improvements", "missing", "failed")
FUNCTIONS: Final = (
    "mean(MEASURE), p50(latency_ms), p95(latency_ms), max(latency_ms), diff(MEASURE),"
    " regressions(), improvements(), missing(), failed()"
)


def failed_conditions(comparison: Mapping[str, Any], conditions: list[str]) -> list[str]:
    """Return a line for each condition that holds for the last run of a comparison.

    A condition about a measure that the run does not have holds, too, so that a gate fails if the
    measure disappears.

    Raises:
        MisconfiguredError: a condition cannot be read.
    """
    lines = []
    for text in conditions:
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise MisconfiguredError(
                f"--fail-if {text!r} is not a condition like 'mean(correctness) < 0.8'; functions:"
                f" {FUNCTIONS}"
            )
        function, measure, comparison_sign, number = found.groups()
        threshold = _number(text, number)
        value = _value(comparison, function, measure)
        if value is None:
            lines.append(f"{text}: the run has no {function}({measure})")
        elif _COMPARISONS[comparison_sign](value, threshold):
            lines.append(f"{text}: {function}({measure}) is {value:g}")
    return lines


def _number(text: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise MisconfiguredError(f"--fail-if {text!r}: {number!r} is not a number") from None


def _value(comparison: Mapping[str, Any], function: str, measure: str) -> float | None:
    run: Mapping[str, Any] = comparison["runs"][-1]
    if function in _COUNTS:
        return float(sum(each["run"] == run["name"] for each in comparison[function]))
    if function == "diff":
        names = (measure, f"scores.{measure}")
        for each in comparison["differences"]:
            if each["run"] == run["name"] and each["measure"] in names:
                return float(each["mean"])
        return None
    if function not in ("mean", "p50", "p95", "max"):
        raise MisconfiguredError(
            f"--fail-if: there is no function {function}(); functions: {FUNCTIONS}"
        )
    name = measure.removeprefix("scores.")
    found = run.get(measure) if measure in ("cost_usd", "latency_ms", "tokens") else None
    found = run["scores"].get(name) if found is None else found
    value = None if found is None else found.get(function)
    return None if value is None else float(value)
