"""Write any character to standard output, and report a failed write in one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from deploy.errors import OutputError


class _Output(io.FileIO):
    """Standard output that raises ``OutputError`` when a write fails."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # the reader closed the pipe, as `head` does
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(f"cannot write to standard output: {reason}") from error


@contextmanager
def safe_output() -> Iterator[None]:
    """While the block runs, escape characters that standard output cannot encode.

    Raises:
        OutputError: standard output cannot be written, for example because the disk is full.
    """
    output = sys.stdout
    if not isinstance(output, io.TextIOWrapper):  # closed, or captured
        yield
        return
    output.flush()
    safe = sys.stdout = _safe(output)
    try:
        yield
    finally:
        sys.stdout = output
        with suppress(BrokenPipeError):
            safe.flush()


class LossyStream:
    """Standard error for logs: lines that cannot be written are dropped."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _safe(output: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = _Output(output.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=output.encoding,
        errors="backslashreplace",
        line_buffering=output.line_buffering,
        write_through=output.write_through,
    )
