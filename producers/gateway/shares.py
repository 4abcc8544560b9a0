"""One limit in bytes that projects share: each may hold as much as is still free."""

from __future__ import annotations


class ByteShares:
    """Counts what projects hold of ``max_bytes``.

    A project that holds something already may hold no more than is left for the others. So one alone
    gets half, two get a third each, and however many flood, there is room for one that comes anew.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total = 0
        self._held: dict[str, int] = {}

    def has_room(self, project_id: str, size: int) -> bool:
        """Whether ``project_id`` may take ``size`` bytes more; the first of all may take anything."""
        if not self.total or not size:
            return True
        free = self.max_bytes - self.total
        held = self._held.get(project_id, 0)
        return size <= free and (not held or held + size <= free)

    def add(self, project_id: str, size: int) -> None:
        """Count bytes in, or out where ``size`` is negative."""
        self.total += size
        held = self._held.get(project_id, 0) + size
        if held:
            self._held[project_id] = held
        else:
            self._held.pop(project_id, None)
