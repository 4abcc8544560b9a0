"""Read the rows of Parquet files as JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from deploy.errors import InvalidArgumentError

BATCH_ROWS: Final = 256
"""Rows that are in memory at once; a small file may have very large values."""


class ParquetRows:
    """An open Parquet file.

    Raises:
        InvalidArgumentError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import ArrowException  # noqa: PLC0415  # slow to import
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415

        self._path = path
        self._errors = (ArrowException, OSError, ValueError)
        try:
            self._file = ParquetFile(path)
        except self._errors as error:
            raise self._fault(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the columns; a file may have one of them twice."""
        return list(self._file.schema_arrow.names)

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return int(self._file.metadata.num_rows)

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the values of columns, row by row.

        Times are ISO 8601 texts, and durations seconds. Decimals are numbers, or texts if numbers
        cannot have all of their digits. What JSON lacks, such as NaN, is null.

        Raises:
            InvalidArgumentError: the file cannot be read.
        """
        try:
            for batch in self._file.iter_batches(BATCH_ROWS, columns=list(columns)):
                for row in batch.to_pylist(maps_as_pydicts="lossy"):
                    yield {name: json_of(value) for name, value in row.items()}
        except self._errors as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> InvalidArgumentError:
        text = str(error).replace("\n", " ")[:500]
        return InvalidArgumentError(f"{self._path.name} cannot be read: {text}")


def json_of(value: Any) -> Any:
    """Return a value of a column as JSON has it."""
    if isinstance(value, dict):
        return {_key(name): json_of(each) for name, each in value.items()}
    if isinstance(value, list):
        return [json_of(each) for each in value]
    if isinstance(value, (Decimal, float)):
        return _number(value)
    return value if value is None or isinstance(value, (str, int)) else _scalar(value)


def _scalar(value: Any) -> str | float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat().replace("+00:00", "Z")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _key(name: Any) -> str:
    found = json_of(name)
    return found if isinstance(found, str) else str(found)


def _number(value: Decimal | float) -> int | float | str | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)
