"""Make the process keep memory that it frees, for its next batch.

The C library returns large blocks to the system when they are freed. Each batch of rows and each
request body would then cost a page fault per 4 KiB, up to a fifth of the CPU time of the sink.
"""

from __future__ import annotations

import ctypes
from typing import Final

KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Freed memory that a process keeps."""
BLOCK_BYTES_MAX: Final = (64 * 1024 * 1024, 32 * 1024 * 1024)
"""Size above which a block is mapped and returned by itself; older versions of glibc accept only
the second."""
# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> None:
    """Set the thresholds of glibc; other C libraries are left as they are."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES_MAX)
        any(mallopt(_M_MMAP_THRESHOLD, size) for size in BLOCK_BYTES_MAX)
