"""Run the command line: `tracemill`, or `python -m deploy ROLE`, with which roles are started.

Ctrl-C ends every command with the exit code 130 and without a traceback. So that this is also true
while modules are imported, this module handles the signal before it imports the command line.
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
    _on_interrupt(_exit_at_once)
    from deploy.cli import main as run_command  # noqa: PLC0415  # takes 0.1 s

    _on_interrupt(_exit)
    try:
        run_command()
    finally:  # an exception would be printed while the interpreter exits
        _on_interrupt(_exit_at_once)


def _on_interrupt(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    # Scripts start background commands with SIGINT ignored; it stays ignored.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def _exit_at_once(_: int, __: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def _exit(_: int, __: FrameType | None) -> NoReturn:
    """Exit after the command's clean-up; after KeyboardInterrupt, typer would exit with 1."""
    raise SystemExit(INTERRUPTED)


if __name__ == "__main__":
    main()
