"""Apply the limits of an export while it is decoded, and count truncated values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeVar

from producers import metrics
from producers.errors import DecodeInThreadError, TooLargeError
from producers.gateway.otlp.export import ExportLimits

T = TypeVar("T")

CUT_MARK: Final = "… [cut by tracemill]"
TOO_DEEP: Final = "[nested too deep]"
_INLINE_SPANS_MAX: Final = 2_000
"""Spans of one export that are decoded on the event loop; also the limit of its groups."""


class ExportLimiter:
    """Apply ``limits`` to one export.

    An export with too many spans, groups or values is rejected (``TooLargeError``), or must be
    decoded in a thread (``DecodeInThreadError``). Everything else is truncated.
    """

    __slots__ = (
        "_inline_end",
        "_values_end",
        "groups_left",
        "limits",
        "reached",
        "spans_left",
        "untruncated_bytes",
        "values_left",
    )

    def __init__(self, limits: ExportLimits) -> None:
        self.limits = limits
        self.reached: Counter[str] = Counter()
        """Number of truncations, by the name of the limit."""
        self.spans_left = limits.spans_max
        self.groups_left = limits.groups_max
        self.values_left = limits.values_max
        self._inline_end = -1
        """``values_left`` below which decoding continues in a thread; -1 in a thread."""
        if limits.inline_values_max is not None:
            self._inline_end = limits.values_max - limits.inline_values_max
        self._values_end = max(self._inline_end, 0)
        """``values_left`` below which decoding stops, for either reason."""
        self.untruncated_bytes = max(limits.value_chars_max, 128)
        """Size of an attribute up to which no text in it can be too long."""

    def count_spans(self, count: int) -> None:
        """Count further spans.

        Raises:
            TooLargeError: the export has more than ``spans_max``.
            DecodeInThreadError: the export must be decoded in a thread.
        """
        self.spans_left -= count
        if self._inline_end >= 0 and self.limits.spans_max - self.spans_left > _INLINE_SPANS_MAX:
            raise DecodeInThreadError
        if self.spans_left < 0:
            metrics.LIMIT_REACHED.labels(limit="spans_max").inc()
            raise TooLargeError(f"more than {self.limits.spans_max} spans in one export")

    def count_groups(self, count: int) -> None:
        """Count further resources or scopes; raise as ``count_spans``."""
        self.groups_left -= count
        if self._inline_end >= 0 and self.limits.groups_max - self.groups_left > _INLINE_SPANS_MAX:
            raise DecodeInThreadError
        if self.groups_left < 0:
            metrics.LIMIT_REACHED.labels(limit="groups_max").inc()
            message = f"more than {self.limits.groups_max} resources and scopes in one export"
            raise TooLargeError(message)

    def count_values(self, count: int) -> None:
        """Count further attributes or values in attributes; raise as ``count_spans``."""
        self.values_left = left = self.values_left - count
        if left < self._values_end:
            self._refuse_values()

    def _refuse_values(self) -> None:
        if self.values_left < 0:
            metrics.LIMIT_REACHED.labels(limit="values_max").inc()
            raise TooLargeError(f"more than {self.limits.values_max} values in one export")
        raise DecodeInThreadError

    def count_fields(self, count: int) -> None:
        """Count further skipped fields as values; raise as ``count_spans``."""
        self.count_values(count)

    def text(self, value: str) -> str:
        """Return a text, truncated to ``value_chars_max``."""
        if len(value) <= self.limits.value_chars_max:
            return value
        self.reached["value_chars_max"] += 1
        return value[: self.limits.value_chars_max] + CUT_MARK

    def first(self, values: Sequence[T], limit: str) -> Sequence[T]:
        """Return the first values, up to the limit with this name."""
        count_max: int = getattr(self.limits, limit)
        if len(values) <= count_max:
            return values
        self.reached[limit] += len(values) - count_max
        return values[:count_max]

    def too_deep(self) -> str:
        """Count a value that is nested too deep, and return what replaces it."""
        self.reached["depth_max"] += 1
        return TOO_DEEP
