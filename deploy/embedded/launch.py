"""Run a command that the kernel kills when the process that started it ends.

`python launch.py PARENT_PID COMMAND…` registers with the kernel to be killed when its parent ends,
then executes the command. The registration survives exec, so it also works for Java. So no process
keeps running if the supervisor is killed with -9. This is a separate script because running Python
between fork and exec is unsafe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def bound_to_this_process(command: list[str]) -> list[str]:
    """Return a command line that runs `command` and is killed when the calling process ends.

    Start it from the main thread, because the kernel kills it when the thread that started it ends.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(arguments: list[str]) -> None:
    parent_pid, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # the parent ended before the registration
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606  (not user input)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
