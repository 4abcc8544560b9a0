"""Keep freed memory in the process, for its next batch.

The C library returns large blocks to the system when they are freed. Each batch of rows and each
request body would then cost a page fault per 4 KiB, up to a fifth of the CPU time of the sink.
"""

from __future__ import annotations

import ctypes
from typing import Final

KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Maximum freed memory that a process keeps."""
BLOCK_BYTES_MAX: Final = (64 * 1024 * 1024, 32 * 1024 * 1024)
"""Sizes above which a block is mapped and returned separately. Older versions of glibc only accept
the second one."""
# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> None:
    """Set the thresholds of glibc; do nothing with other C libraries."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES_MAX)
        any(mallopt(_M_MMAP_THRESHOLD, size) for size in BLOCK_BYTES_MAX)
