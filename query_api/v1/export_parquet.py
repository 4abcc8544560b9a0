"""Write the rows of exports as a Parquet file, one row group at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from query_api.v1.export_rows import Row

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS_MAX: Final = 10_000
"""Maximum number of rows of a row group."""
GROUP_BYTES: Final = 8_000_000
"""A row group is written when its rows have as many bytes, before they are compressed."""
_DECIMALS: Final = 12


def parquet_schema(fields: Sequence[str]) -> pa.Schema:
    """Return the columns of fields of exports: their names and types, in this order."""
    import pyarrow as pa  # noqa: PLC0415  # 40 MB, only for those who export Parquet

    instant = pa.timestamp("us", tz="UTC")
    types: Mapping[str, pa.DataType] = MappingProxyType(
        {
            "start": instant,
            "end": instant,
            "latency_ms": pa.float64(),
            "ttft_ms": pa.float64(),
            "cost_usd": pa.decimal128(38, _DECIMALS),
            "observations": pa.int64(),
            "errors": pa.int64(),
            "unpriced": pa.int64(),
            "prompt_version": pa.int64(),
            "tags": pa.list_(pa.string()),
            "tokens": pa.map_(pa.string(), pa.int64()),
        }
    )
    return pa.schema([(field, types.get(field, pa.string())) for field in fields])


async def parquet_of(
    pages: AsyncIterator[list[Row]], fields: Sequence[str]
) -> AsyncIterator[bytes]:
    """Return the parts of a file with the rows; the last part, with the index, completes it.

    Times are timestamps in UTC, and amounts decimals with 12 digits after the point. At most a
    row group and a page are in memory.
    """
    file = await asyncio.to_thread(_ParquetFile, fields)
    async for page in pages:
        # Compression takes a while, during which other requests go on.
        if part := await asyncio.to_thread(file.add, page):
            yield part
    yield await asyncio.to_thread(file.close)


class _Parts:
    """A file without a beginning: what was written to it is taken away."""

    closed = False

    def __init__(self) -> None:
        self._written = bytearray()
        self._taken = 0

    def write(self, data: Any) -> int:
        written = len(data)
        self._written += data
        return written

    def tell(self) -> int:
        return self._taken + len(self._written)

    def flush(self) -> None:
        """Do nothing: parts are taken by ``take``."""

    def close(self) -> None:
        """Do nothing, for the same reason."""

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._taken += len(taken)
        self._written.clear()
        return taken


class _ParquetFile:
    """Collects rows, and writes them as a row group when they are enough."""

    def __init__(self, fields: Sequence[str]) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415

        self._fields = fields
        self._schema = parquet_schema(fields)
        self._parts = _Parts()
        self._writer = pq.ParquetWriter(self._parts, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []

    def add(self, rows: list[Row]) -> bytes:
        """Add rows, and return what was written meanwhile; empty unless a row group is full."""
        import pyarrow as pa  # noqa: PLC0415

        if rows:
            columns = {name: [_value(name, row[name]) for row in rows] for name in self._fields}
            self._waiting.append(pa.table(columns, schema=self._schema))
        is_full = (
            sum(each.num_rows for each in self._waiting) >= GROUP_ROWS_MAX
            or sum(each.nbytes for each in self._waiting) >= GROUP_BYTES
        )
        return self._write() if is_full else b""

    def close(self) -> bytes:
        """Return the last part."""
        rest = self._write()
        self._writer.close()
        return rest + self._parts.take()

    def _write(self) -> bytes:
        import pyarrow as pa  # noqa: PLC0415

        if self._waiting:
            group = pa.concat_tables(self._waiting)
            self._waiting.clear()
            self._writer.write_table(group, row_group_size=group.num_rows)
        return self._parts.take()


def _value(name: str, value: Any) -> Any:
    """Return a value as its column takes it; exact, unlike ``Decimal.scaleb``, which rounds."""
    if name == "cost_usd":
        return Decimal(f"{value}E-{_DECIMALS}")
    return list(value.items()) if name == "tokens" else value
