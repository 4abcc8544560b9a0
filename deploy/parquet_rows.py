"""Write the rows of a Parquet file on standard input as lines of JSON, one per row.

The embedded engine reads the file, so no other library is needed. It runs in a process of its own,
because it keeps its threads and signal handlers until the process ends.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_COUNT_SQL: Final = "SELECT count() FROM file('/proc/self/fd/0', 'Parquet')"
# A small file may have very large values.
_SQL: Final = """
SELECT * FROM file('/proc/self/fd/0', 'Parquet')
SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_validate_utf8 = 1,
    max_threads = 1, input_format_parquet_preserve_order = 1,
    max_memory_usage = 2000000000
"""


def main() -> int:
    """Write the rows, or with ``--count`` their number.

    Returns 1, with a line on standard error, if they cannot be read.
    """
    from chdb import ChdbError  # noqa: PLC0415  # slow to import
    from chdb.session import Session  # noqa: PLC0415

    session: Any = Session()  # type: ignore[no-untyped-call]
    try:
        if "--count" in sys.argv:
            sys.stdout.buffer.write(session.query(_COUNT_SQL, "TSV").bytes())
        else:
            for chunk in session.send_query(_SQL, "JSONEachRow"):
                sys.stdout.buffer.write(chunk.bytes())
        sys.stdout.flush()
    except ChdbError as error:
        print(str(error).replace("\n", " ")[:500], file=sys.stderr)
        return 1
    finally:
        session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
