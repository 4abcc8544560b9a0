"""Reuse the memory of inserts: overwriting pages costs a quarter of allocating new ones."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Final

POOLED_MIN_BYTES: Final = 64 * 1024
"""Minimum size of files that are kept for reuse."""
FITS_FACTOR: Final = 4
"""A file is reused if its size is at most this multiple of the first chunk of rows, because the
rest of the file is freed. A full chunk, after which more may follow, uses the largest file."""


@dataclass(slots=True)
class RowsFile:
    """A memory file of rows; until ``end``, bytes of an earlier insert may follow the rows."""

    descriptor: int
    kept_bytes: int = 0
    size_bytes: int = 0

    def append(self, data: bytes) -> None:
        """Append a chunk."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self.descriptor, rest, self.size_bytes)
            self.size_bytes += written
            rest = rest[written:]

    def end(self) -> None:
        """Truncate the file to the length of the rows."""
        os.ftruncate(self.descriptor, self.size_bytes)

    def close(self) -> None:
        os.close(self.descriptor)


class RowsFiles:
    """A thread-safe pool of unused files, of at most ``kept_bytes_max`` bytes in total."""

    def __init__(self, kept_bytes_max: int, piece_bytes: int) -> None:
        self._kept_bytes_max = kept_bytes_max
        self._piece_bytes = piece_bytes
        self._kept: list[RowsFile] = []
        self._lock = threading.Lock()

    def take(self, first_bytes: int) -> RowsFile:
        """Return a file for rows whose first chunk has ``first_bytes``."""
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
        """Return a file to the pool; evict the oldest files if necessary."""
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
        """Free all files."""
        with self._lock:
            kept, self._kept = self._kept, []
        for file in kept:
            file.close()
