"""Share the event loop between projects: a project that used much of it recently waits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Final

FREE_DEBT_S: Final = 0.05
"""Debt of a project up to which its requests do not queue."""
REPAID_SHARE: Final = 0.5
"""Seconds of debt that each second repays."""
PROJECTS_TRACKED_MAX: Final = 10_000


class FairScheduler:
    """Start requests at once, or round-robin over the projects that are in debt.

    A project's debt is the time that its requests have taken, less what has been repaid since.
    Requests of a project in debt wait in its queue. Each pass of the event loop starts one request
    of the next queue.
    """

    def __init__(self) -> None:
        self._debts: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Debt of each project in seconds, and when it was computed; the latest one last."""
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self._dispatching: asyncio.Task[None] | None = None
        self.no_backlog = asyncio.Event()
        """Set while all queues are empty."""
        self.no_backlog.set()

    async def begin(self, project_id: str) -> None:
        """Wait until a request of this project may start its work."""
        if project_id not in self._queues and self._debt_s(project_id) <= FREE_DEBT_S:
            return
        begins = asyncio.get_running_loop().create_future()
        self._queues.setdefault(project_id, deque()).append(begins)
        self.no_backlog.clear()
        if self._dispatching is None:
            self._dispatching = asyncio.create_task(self._dispatch(), name="fair-scheduler")
        await begins

    def spent(self, project_id: str, seconds: float) -> None:
        """Add the time that a request of the project has taken to the project's debt."""
        now_s = asyncio.get_running_loop().time()
        self._debts[project_id] = (self._debt_s(project_id) + seconds, now_s)
        self._debts.move_to_end(project_id)
        if len(self._debts) > PROJECTS_TRACKED_MAX:
            self._debts.popitem(last=False)

    def _debt_s(self, project_id: str) -> float:
        debt_s, since_s = self._debts.get(project_id, (0.0, 0.0))
        if not debt_s:
            return 0.0
        elapsed_s = asyncio.get_running_loop().time() - since_s
        return max(debt_s - elapsed_s * REPAID_SHARE, 0.0)

    async def _dispatch(self) -> None:
        while self._queues:
            for project_id in list(self._queues):
                queue = self._queues[project_id]
                begins = queue.popleft()
                if not queue:
                    del self._queues[project_id]
                if not begins.done():
                    begins.set_result(None)
                    # It runs in the next pass; new requests come before the next one in the queue.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
        self._dispatching = None
        self.no_backlog.set()
