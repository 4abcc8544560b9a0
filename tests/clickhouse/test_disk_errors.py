"""After an error of the disk, rows are inserted again instead of becoming dead letters."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from clickhouse.errors import QueryRejected, StoreUnavailable
from clickhouse.store import _store_error


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (243, "Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"),
        (75, "Cannot write to file /data/x: errno: 28, strerror: No space left on device"),
        (76, "Cannot open file /data/x: errno: 28, strerror: No space left on device"),
        (481, "Cannot create directory /data/x"),
        (1001, "std::__1::__fs::filesystem::filesystem_error: No space left on device"),
    ],
)
def test_inserts_wait_while_the_disk_is_full(code: int, message: str) -> None:
    assert isinstance(_store_error(DatabaseError(message, code=code)), StoreUnavailable)


def test_a_row_whose_error_quotes_a_full_disk_is_still_refused() -> None:
    error = DatabaseError("Cannot parse 'No space left on device'", code=27)
    assert isinstance(_store_error(error), QueryRejected)
