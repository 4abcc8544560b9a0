"""The worker of ``project_process`` with a bug: some flushes and its first two restores raise."""

from __future__ import annotations

import asyncio

from streams.rollups.flusher import Flusher
from streams.rollups.partition import ProjectPartition
from tests.streams import project_process

FAILING_FLUSHES = (2, 3, 5)
FAILING_RESTORES = (2, 3)


def main() -> None:
    flush, restore = Flusher._flush, ProjectPartition._restore
    flushes: dict[int, int] = {}
    restores: dict[int, int] = {}

    async def failing_flush(self):
        partition = self.output.partition
        flushes[partition] = flushes.get(partition, 0) + 1
        if flushes[partition] in FAILING_FLUSHES:
            self._fold.flush()  # what was dirty is lost with this worker
            raise ZeroDivisionError("a bug in the flush")
        await flush(self)

    async def failing_restore(self):
        restores[self.partition] = restores.get(self.partition, 0) + 1
        if restores[self.partition] in FAILING_RESTORES:
            raise KeyError("a bug while restoring")
        return await restore(self)

    Flusher._flush = failing_flush
    ProjectPartition._restore = failing_restore
    asyncio.run(project_process.main())


if __name__ == "__main__":
    main()
