"""Divide a limit in bytes between projects, so that no project uses all of it."""

from __future__ import annotations


class ByteQuota:
    """Count the bytes that each project holds of ``max_bytes``.

    A project that holds some may hold no more than is left free: one project alone gets half, two
    get a third each, and a new project always finds some free.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total = 0
        self._held: dict[str, int] = {}

    def allows(self, project_id: str, size: int) -> bool:
        """Return whether ``project_id`` may hold ``size`` more bytes; true while none are held."""
        if not self.total or not size:
            return True
        free = self.max_bytes - self.total
        held = self._held.get(project_id, 0)
        return size <= free and (not held or held + size <= free)

    def add(self, project_id: str, size: int) -> None:
        """Add ``size`` bytes to those that a project holds; a negative size subtracts."""
        self.total += size
        held = self._held.get(project_id, 0) + size
        if held:
            self._held[project_id] = held
        else:
            self._held.pop(project_id, None)
