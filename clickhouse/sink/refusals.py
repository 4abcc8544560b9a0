"""Describe rows that the store cannot accept, and stop the sink if there are too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clickhouse.errors import TooManyRefusals
from clickhouse.sink import metrics
from clickhouse.sink.settings import SinkSettings

REFUSED: Final = "refused_by_store"
FAILED: Final = "failed_in_store"
UNREADABLE: Final = "unreadable_record"


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that could not be stored."""

    number: int
    """Index of the line in the batch, without empty lines."""
    line: bytes
    reason: str
    """The store's error message."""
    code: str = REFUSED
    """Reason code: ``REFUSED`` (the store rejected the row), ``FAILED`` (it exceeded the store's
    limits or crashed it) or ``UNREADABLE`` (the record could not be converted to a row)."""


def lines_of(body: bytes) -> list[bytes]:
    """Return the rows of NDJSON: its lines that are not empty."""
    return [line for line in body.split(b"\n") if line.strip()]


class RefusalGuard:
    """A guard that counts the refused rows of one table, and raises if there are too many."""

    def __init__(self, table: str, settings: SinkSettings) -> None:
        self._table = table
        self._settings = settings
        self._consecutive = self._rows = self._refused = 0

    def observe(self, accepted: int, refused: int, reason: str) -> None:
        """Count a batch.

        Raises:
            TooManyRefusals: most rows are refused, so the table or the code must be wrong.
        """
        settings = self._settings
        self._consecutive = refused if accepted else self._consecutive + refused
        if self._rows >= settings.refused_rows_sample:
            self._rows, self._refused = self._rows // 2, self._refused // 2
        self._rows += accepted + refused
        self._refused += refused
        if not accepted and self._consecutive > settings.refused_rows_consecutive_max:
            self._stop(
                "refused_rows_consecutive_max", f"{self._consecutive} consecutive rows", reason
            )
        is_sampled = self._rows >= settings.refused_rows_sample
        if is_sampled and self._refused > settings.refused_rows_ratio_max * self._rows:
            rows = f"{self._refused} of the last {self._rows} rows"
            self._stop("refused_rows_ratio_max", rows, reason)

    def _stop(self, limit: str, rows: str, reason: str) -> None:
        metrics.LIMIT_REACHED.labels(limit).inc()
        raise TooManyRefusals(f"the store refused {rows} of {self._table}: {reason}")
