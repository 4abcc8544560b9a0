"""Share the event loop fairly between projects."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Final

FREE_DEBT_S: Final = 0.05
"""Debt of a project above which its requests are queued."""
REPAID_SHARE: Final = 0.5
"""Debt in seconds that is repaid per second."""
PROJECTS_TRACKED_MAX: Final = 10_000


class FairScheduler:
    """Start requests at once, or round-robin over the projects with much debt.

    The debt of a project is the time that its requests have used on the event loop; it is repaid
    with time. Requests of a project whose debt exceeds ``FREE_DEBT_S`` are queued. Each pass of the
    event loop starts one request of the next project's queue.
    """

    def __init__(self) -> None:
        self._debts: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Debt of each project in seconds, and when it was computed; the latest entry is the
        last."""
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self._dispatching: asyncio.Task[None] | None = None
        self.no_backlog = asyncio.Event()
        """Event that is set while all queues are empty."""
        self.no_backlog.set()

    async def begin(self, project_id: str) -> None:
        """Wait until a request of a project may use the event loop."""
        if project_id not in self._queues and self._debt_s(project_id) <= FREE_DEBT_S:
            return
        begins = asyncio.get_running_loop().create_future()
        self._queues.setdefault(project_id, deque()).append(begins)
        self.no_backlog.clear()
        if self._dispatching is None:
            self._dispatching = asyncio.create_task(self._dispatch(), name="fair-scheduler")
        await begins

    def spent(self, project_id: str, seconds: float) -> None:
        """Add the time that a request has used to the debt of its project."""
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
                    # First the request runs, and new ones start before the next queued one.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
        self._dispatching = None
        self.no_backlog.set()
