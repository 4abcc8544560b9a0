"""How values are kept within the limits, and how often that happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeVar

from producers import metrics
from producers.errors import TooLargeError
from producers.gateway.otlp.export import ExportLimits

T = TypeVar("T")

CUT_MARK: Final = "… [cut by tracemill]"
TOO_DEEP: Final = "[nested too deep]"


class Cutter:
    """Applies ``limits`` to one export; ``reached`` counts the cuts by the name of the limit."""

    __slots__ = ("limits", "reached", "spans_left", "uncut_bytes")

    def __init__(self, limits: ExportLimits) -> None:
        self.limits = limits
        self.reached: Counter[str] = Counter()
        self.spans_left = limits.spans_max
        self.uncut_bytes = max(limits.value_chars_max, 128)
        """An attribute of at most so many bytes holds nothing that is too long."""

    def take_spans(self, count: int) -> None:
        """Count spans in.

        Raises:
            TooLargeError: the export holds more than it may.
        """
        self.spans_left -= count
        if self.spans_left < 0:
            metrics.LIMIT_REACHED.labels(limit="spans_max").inc()
            raise TooLargeError(f"more than {self.limits.spans_max} spans in one export")

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
