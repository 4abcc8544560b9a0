"""Show the progress of a download: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

PLAIN_STEP_PERCENT = 25


class Progress(Protocol):
    """An interface that receives the number of bytes since the last call."""

    def advance(self, size: int) -> None: ...


@contextmanager
def show_progress(title: str, total_bytes: int) -> Iterator[Progress]:
    """Show the progress on standard error while the block runs; yield the object to advance."""
    if not sys.stderr.isatty():
        yield _PlainLines(title, total_bytes)
        return

    from rich.console import Console  # noqa: PLC0415  (slow to import, rarely needed)
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        TextColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with RichProgress(
        *columns, TransferSpeedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        yield _Bar(bar, bar.add_task(title, total=total_bytes))


class _PlainLines:
    def __init__(self, title: str, total_bytes: int) -> None:
        self._title = title
        self._total_bytes = max(total_bytes, 1)
        self._arrived_bytes = 0
        self._next_percent = PLAIN_STEP_PERCENT
        self._print_line(f"{title} ({total_bytes / 1e6:.0f} MB, once)")

    def advance(self, size: int) -> None:
        self._arrived_bytes += size
        percent = 100 * self._arrived_bytes // self._total_bytes
        if percent >= self._next_percent:
            self._print_line(f"{self._title}: {percent} %")
            self._next_percent = percent - percent % PLAIN_STEP_PERCENT + PLAIN_STEP_PERCENT

    def _print_line(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, bar: object, task: object) -> None:
        self._bar = bar
        self._task = task

    def advance(self, size: int) -> None:
        self._bar.advance(self._task, size)  # type: ignore[attr-defined]
