"""Run the command line: `tracemill`, and `python -m deploy ROLE`, as the supervisor starts roles.

Ctrl-C ends every command with the exit code 130 and without a traceback, also while modules are
imported: this module imports nothing before it handles the signal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the `tracemill` command."""
    _on_interrupt(_end_now)
    from deploy.cli import main as run_command  # noqa: PLC0415  # takes 0.1 s

    _on_interrupt(_end)
    try:
        run_command()
    finally:  # the interpreter ends: an exception would be printed
        _on_interrupt(_end_now)


def _on_interrupt(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    # It is ignored, and stays so, in commands that a script starts in the background.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def _end_now(_: int, __: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def _end(_: int, __: FrameType | None) -> NoReturn:
    """End the command, with its clean-up; not by KeyboardInterrupt, which typer answers with 1."""
    raise SystemExit(INTERRUPTED)


if __name__ == "__main__":
    main()
