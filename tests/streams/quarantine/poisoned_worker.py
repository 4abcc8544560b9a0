"""The streams worker of production, except that events named ``poison…`` end its process.

Run as ``python -m tests.streams.quarantine.poisoned_worker``. The name of the event decides how the
process ends: ``poison-SIGSEGV``, ``poison-exit``, ``poison-loop``; ``poison-worker`` ends the
worker but none of its child processes.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from deploy.process import run_process
from deploy.processes import streams as role
from streams.core.observations.events import EventFold
from streams.core.rollups.fold import ProjectFold

WORKER = os.getpid()
observation, apply = EventFold.observation, ProjectFold.apply


def die(name: str) -> None:
    how = name.removeprefix("poison-")
    if how == "worker":  # as what children do not do: write
        if os.getpid() != WORKER:
            return
        how = "SIGSEGV"
    if how == "exit":
        os._exit(0)
    if how == "loop":
        Path(os.environ["TEST_ENTERED"]).touch()
        while True:
            pass
    os.kill(os.getpid(), getattr(signal, how))


def deadly_observation(self: EventFold, line: Any) -> bool:
    if (line.name or "").startswith("poison-"):
        die(line.name)
    return observation(self, line)


def deadly_apply(self: ProjectFold, offset: int, deltas: Any, *rest: Any) -> Any:
    deltas = list(deltas)
    for delta in deltas:
        for window in delta.windows:
            if window.name.startswith("later-poison-"):
                die(window.name.removeprefix("later-"))
    return apply(self, offset, deltas, *rest)


if __name__ == "__main__":
    EventFold.observation = deadly_observation  # type: ignore[method-assign]
    ProjectFold.apply = deadly_apply  # type: ignore[method-assign]
    raise SystemExit(run_process("streams", role.main))
