"""Keep usage as clients sent it, where it differs from the reconciled counts.

The Langfuse API shows usage with the keys that were sent, and with the total that was given, while
prices and totals use disjoint counts. An object with a provider's total (``total_tokens``) is shown
with the reconciled keys and this total.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tracemill.reconciliation import Reconciled
from tracemill.reconciliation.roles import Total, role_of

SAME: Final = "{}"
"""Text of a partial update whose usage is shown as it was counted."""
_TOTAL: Final = "total"
_OLDER_NAMES: Final = {
    "input": "input",
    "output": "output",
    "total": _TOTAL,
    "promptTokens": "input",
    "completionTokens": "output",
    "totalTokens": _TOTAL,
}


def with_reported(found: Reconciled, sent: Mapping[str, int]) -> Reconciled:
    """Return reconciled usage with the counts that were ``sent``, if they differ from it."""
    if found.counts == sent or not found.counts:
        return found
    shown = dict(sent)
    if _TOTAL not in sent:
        given = [count for name, count in sent.items() if isinstance(role_of(name), Total)]
        if given:
            shown = {**found.counts, _TOTAL: max(given)}
    return found if _is_shown_by(shown, found.counts) else _with(found, shown)


def with_reported_older(
    found: Reconciled, sent: Mapping[str, int], counted: Mapping[str, int]
) -> Reconciled:
    """Return usage with the counts of an older ``usage`` object, which may have another unit.

    ``counted`` are the reconciled counts before they were named by the unit.
    """
    if not sent.keys() <= _OLDER_NAMES.keys():
        return with_reported(found, sent)
    shown = {_OLDER_NAMES[name]: count for name, count in sent.items()}
    parts = {name: count for name, count in counted.items() if name != _TOTAL}
    return _with(found, None if _is_shown_by(shown, parts) else shown)


def reported_text(usage: Reconciled) -> str | None:
    """Return the reported usage as text of the contract; None if it equals the counts."""
    return msgspec.json.encode(usage.reported).decode() if usage.reported else None


def _is_shown_by(shown: Mapping[str, int], counts: Mapping[str, int]) -> bool:
    """Return whether ``counts``, with their sum as default total, are what has to be shown."""
    parts = {name: count for name, count in counts.items() if name != _TOTAL}
    total = counts.get(_TOTAL, sum(parts.values()))
    return {**shown, _TOTAL: shown.get(_TOTAL, total)} == {**parts, _TOTAL: total}


def _with(found: Reconciled, reported: dict[str, int] | None) -> Reconciled:
    return Reconciled(found.counts, found.service_tier, found.uncertain, reported)
