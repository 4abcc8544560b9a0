"""Standard output that takes every text, and whose failure is one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from deploy.errors import OutputError


class _Output(io.FileIO):
    """Tells failures to write to standard output from other failures."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # its reader has read enough
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(f"cannot write to standard output: {reason}") from error


@contextmanager
def safe_output() -> Iterator[None]:
    """Write to standard output in the block; escape what its encoding lacks.

    Raises:
        OutputError: it cannot be written, for example to a full disk.
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
    """Standard error for logs: lines that cannot be written are lost, not a failure."""

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
