"""Files of rows are reused, within a limit, and never contain rows of an earlier insert."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from clickhouse.embedded.rows_files import POOLED_MIN_BYTES, RowsFiles

PIECE_BYTES = 4 * POOLED_MIN_BYTES
SIZES = st.integers(0, 6 * POOLED_MIN_BYTES)


def open_files() -> int:
    links = list(Path("/proc/self/fd").iterdir())
    return sum("memfd:insert" in os.path.realpath(link) for link in links)


@given(sizes=st.lists(SIZES, max_size=8), kept_bytes_max=st.sampled_from([0, 2**17, 2**21]))
def test_a_file_holds_exactly_its_own_rows(sizes: list[int], kept_bytes_max: int) -> None:
    open_before = open_files()
    files = RowsFiles(kept_bytes_max, PIECE_BYTES)
    for number, size in enumerate(sizes):
        rows = bytes([65 + number]) * size
        file = files.take(min(size, PIECE_BYTES))
        for at in range(0, size, PIECE_BYTES):
            file.append(rows[at : at + PIECE_BYTES])
        file.end()
        assert Path(f"/proc/self/fd/{file.descriptor}").read_bytes() == rows
        files.give_back(file)
    files.close()
    assert open_files() == open_before


def test_the_memory_that_is_kept_has_a_limit() -> None:
    files = RowsFiles(3 * POOLED_MIN_BYTES, PIECE_BYTES)
    taken = [files.take(POOLED_MIN_BYTES) for _ in range(5)]
    for file in taken:
        file.append(bytes(POOLED_MIN_BYTES))
        files.give_back(file)
    again = [files.take(POOLED_MIN_BYTES) for _ in range(5)]
    assert len({file.descriptor for file in again} & {file.descriptor for file in taken[2:]}) >= 3
    assert [bool(file.kept_bytes) for file in again] == [True] * 3 + [False] * 2
    for file in again:
        file.close()
    files.close()
