"""Divides a limit in bytes between projects: each may hold as much as is still free."""

from __future__ import annotations


class ByteShares:
    """Counts the bytes that each project holds of ``max_bytes``.

    A project that holds some already may hold no more than is left free. So one alone gets half,
    two get a third each, and however many flood, some is left for another.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total = 0
        self._held: dict[str, int] = {}

    def has_room(self, project_id: str, size: int) -> bool:
        """Return whether ``project_id`` may take ``size`` more bytes; if none are held, it may."""
        if not self.total or not size:
            return True
        free = self.max_bytes - self.total
        held = self._held.get(project_id, 0)
        return size <= free and (not held or held + size <= free)

    def add(self, project_id: str, size: int) -> None:
        """Add ``size`` bytes to what a project holds; subtract them if negative."""
        self.total += size
        held = self._held.get(project_id, 0) + size
        if held:
            self._held[project_id] = held
        else:
            self._held.pop(project_id, None)
