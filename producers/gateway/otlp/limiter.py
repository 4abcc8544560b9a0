"""How values are kept within the limits, and how often that happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeVar

from producers import metrics
from producers.errors import MoreWorkError, TooLargeError
from producers.gateway.otlp.export import ExportLimits

T = TypeVar("T")

CUT_MARK: Final = "… [cut by tracemill]"
TOO_DEEP: Final = "[nested too deep]"
_INLINE_SPANS_MAX: Final = 2_000
"""Spans, or groups of them, of one export that are decoded on the event loop."""


class ExportLimiter:
    """Applies ``limits`` to one export; ``reached`` counts the cuts by the name of the limit."""

    __slots__ = (
        "_inline_end",
        "_values_end",
        "groups_left",
        "limits",
        "reached",
        "spans_left",
        "uncut_bytes",
        "values_left",
    )

    def __init__(self, limits: ExportLimits) -> None:
        self.limits = limits
        self.reached: Counter[str] = Counter()
        self.spans_left = limits.spans_max
        self.groups_left = limits.groups_max
        self.values_left = limits.values_max
        self._inline_end = -1
        """Number of values left below which the work is too much for the event loop."""
        if limits.inline_values_max is not None:
            self._inline_end = limits.values_max - limits.inline_values_max
        self._values_end = max(self._inline_end, 0)
        """Fewer values left than this: too many, or too many for here."""
        self.uncut_bytes = max(limits.value_chars_max, 128)
        """An attribute of at most so many bytes holds nothing that is too long."""

    def count_spans(self, count: int) -> None:
        """Count spans in.

        Raises:
            TooLargeError: the export holds more than it may.
        """
        self.spans_left -= count
        if self._inline_end >= 0 and self.limits.spans_max - self.spans_left > _INLINE_SPANS_MAX:
            raise MoreWorkError
        if self.spans_left < 0:
            metrics.LIMIT_REACHED.labels(limit="spans_max").inc()
            raise TooLargeError(f"more than {self.limits.spans_max} spans in one export")

    def count_groups(self, count: int) -> None:
        """Count resources or scopes in.

        Raises:
            TooLargeError: as for ``count_spans``.
        """
        self.groups_left -= count
        if self._inline_end >= 0 and self.limits.groups_max - self.groups_left > _INLINE_SPANS_MAX:
            raise MoreWorkError
        if self.groups_left < 0:
            metrics.LIMIT_REACHED.labels(limit="groups_max").inc()
            message = f"more than {self.limits.groups_max} resources and scopes in one export"
            raise TooLargeError(message)

    def count_values(self, count: int) -> None:
        """Count attributes or what is in one in.

        Raises:
            TooLargeError: as for ``count_spans``.
        """
        self.values_left = left = self.values_left - count
        if left < self._values_end:
            self._end_values()

    def _end_values(self) -> None:
        if self.values_left < 0:
            metrics.LIMIT_REACHED.labels(limit="values_max").inc()
            raise TooLargeError(f"more than {self.limits.values_max} values in one export")
        raise MoreWorkError

    def count_fields(self, count: int) -> None:
        """Count fields that are skipped.

        Raises:
            TooLargeError: as for ``count_spans``.
        """
        self.count_values(count)

    def text(self, value: str) -> str:
        if len(value) <= self.limits.value_chars_max:
            return value
        self.reached["value_chars_max"] += 1
        return value[: self.limits.value_chars_max] + CUT_MARK

    def first(self, values: Sequence[T], limit: str) -> Sequence[T]:
        """The values up to the limit of that name."""
        count_max: int = getattr(self.limits, limit)
        if len(values) <= count_max:
            return values
        self.reached[limit] += len(values) - count_max
        return values[:count_max]

    def too_deep(self) -> str:
        self.reached["depth_max"] += 1
        return TOO_DEEP
