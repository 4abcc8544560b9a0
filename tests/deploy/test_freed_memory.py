"""Memory that a process frees is used again without page faults."""

from __future__ import annotations

import subprocess
import sys

BATCHES_OF_40_MB = """
import resource

from deploy.freed_memory import keep_freed_memory

keep_freed_memory()
for number in range(11):
    if number == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    values = [bytes(60_000) for _ in range(330)]
    batch = b"".join(values)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES_OF_BATCH = 40_000_000 // 4096


def test_batches_use_the_memory_of_those_before_them() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BATCHES_OF_40_MB], capture_output=True, check=True, timeout=60
    )
    assert int(ended.stdout) < 10 * PAGES_OF_BATCH / 4
