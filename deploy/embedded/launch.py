"""Runs a command that must not outlive the process that started it.

`python launch.py PARENT_PID COMMAND…` asks the kernel to kill this process when its parent dies, then
becomes the command. The request survives exec, so it holds for Java as well, and a supervisor that is
killed with -9 leaves nobody behind. A separate script, since running Python between fork and exec is
unsafe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def bound_to_this_process(command: list[str]) -> list[str]:
    """The command line that runs `command` and dies with the calling process.

    Start it from a thread that lives as long as the process: the kernel watches the parent's thread.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(arguments: list[str]) -> None:
    parent_pid, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the request was made
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606  (the caller's own command line)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
