"""Keeps the memory of inserts: to write over pages costs a quarter of having new ones."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Final

POOLED_MIN_BYTES: Final = 64 * 1024
"""Smaller files are not worth keeping."""
FITS_FACTOR: Final = 4
"""A file is used where the first piece of the rows is at least its size divided by this, as what is
behind the rows is freed; for a whole piece, after which more may come, the largest."""


@dataclass(slots=True)
class RowsFile:
    """A file in memory: rows, and behind them what an earlier insert left until ``end`` cuts it."""

    descriptor: int
    kept_bytes: int = 0
    size_bytes: int = 0

    def append(self, data: bytes) -> None:
        """Write a piece after those before."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self.descriptor, rest, self.size_bytes)
            self.size_bytes += written
            rest = rest[written:]

    def end(self) -> None:
        """Make the file exactly as long as the rows."""
        os.ftruncate(self.descriptor, self.size_bytes)

    def close(self) -> None:
        os.close(self.descriptor)


class RowsFiles:
    """Files that were used before, ``kept_bytes_max`` bytes at most. For several threads."""

    def __init__(self, kept_bytes_max: int, piece_bytes: int) -> None:
        self._kept_bytes_max = kept_bytes_max
        self._piece_bytes = piece_bytes
        self._kept: list[RowsFile] = []
        self._lock = threading.Lock()

    def take(self, first_bytes: int) -> RowsFile:
        """Return a file for rows whose first piece is ``first_bytes`` long."""
        is_whole = first_bytes >= self._piece_bytes
        with self._lock:
            fitting = [
                file
                for file in self._kept
                if is_whole or file.kept_bytes <= first_bytes * FITS_FACTOR
            ]
            if first_bytes >= POOLED_MIN_BYTES and fitting:
                file = max(fitting, key=lambda each: each.kept_bytes)
                self._kept.remove(file)
                return file
        return RowsFile(os.memfd_create("insert"))

    def give_back(self, file: RowsFile) -> None:
        """Keep a file that nobody reads any more; the oldest make room for it."""
        size = file.size_bytes
        if not POOLED_MIN_BYTES <= size <= self._kept_bytes_max:
            file.close()
            return
        file.kept_bytes, file.size_bytes = size, 0
        with self._lock:
            self._kept.append(file)
            while sum(each.kept_bytes for each in self._kept) > self._kept_bytes_max:
                self._kept.pop(0).close()

    def close(self) -> None:
        """Free all of them."""
        with self._lock:
            kept, self._kept = self._kept, []
        for file in kept:
            file.close()
