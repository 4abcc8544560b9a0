"""Word the conditions of alert rules as sentences, such as of a firing group."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from producers.alerting.registry import METRICS
from producers.notifications.wording import amount_text
from producers.sentences import Sentence

_WORDS: Final = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}
_IS: Final = "%(metric)s is %(value)s"
_IN: Final = " in %(window)s"
OR_MORE: Final = " or more"
"""Follows a value that may be larger."""
_NO_DATA: Final = "%(metric)s has no data"


def _template(has_window: bool, comparison: str, is_ended: bool) -> str:
    text = _IS + (_IN if has_window else "")
    if not comparison:
        return text
    return f"{text}, {'no longer ' if is_ended else ''}{_WORDS[comparison]} %(threshold)s"


TEMPLATES: Final = (
    *(
        _template(has_window, comparison, is_ended)
        for has_window in (True, False)
        for comparison in _WORDS
        for is_ended in (False, True)
    ),
    *(_template(has_window, "", False) for has_window in (True, False)),
    *(_NO_DATA, _NO_DATA + _IN),
)


def label_of(metric: str) -> str:
    """Return the English label of a metric; its name if it is not known any more."""
    known = METRICS.get(metric)
    return metric if known is None else known.label


def condition_sentence(
    metric: str,
    value: Decimal | None,
    comparison: str,
    threshold: Decimal | None,
    *,
    unit: str,
    window: str = "",
    is_ended: bool = False,
    is_lower_bound: bool = False,
) -> Sentence:
    """Return a sentence such as ``Error rate is 7.69 % in 5 min, above 5 %``.

    Args:
        metric: name of the metric.
        value: its value; None without data.
        comparison: ``>``, ``>=``, ``<`` or ``<=``.
        threshold: the threshold; None: the sentence has only the value.
        unit: unit of both; see ``amount_text``.
        window: the window in words; empty if there is none.
        is_ended: whether the condition is not met any more.
        is_lower_bound: whether the value may be larger.
    """
    values = {"metric": label_of(metric), "window": window}
    if value is None:
        return Sentence(_NO_DATA + (_IN if window else ""), values)
    values["value"] = amount_text(value, unit)
    if threshold is not None:
        values["threshold"] = amount_text(threshold, unit)
        if values["value"] == values["threshold"] and value != threshold:
            values["value"] = amount_text(value, unit, is_full=True)
            values["threshold"] = amount_text(threshold, unit, is_full=True)
    values["value"] += OR_MORE if is_lower_bound else ""
    shown = comparison if threshold is not None and comparison in _WORDS else ""
    return Sentence(_template(bool(window), shown, is_ended), values)
