"""Share a limit in bytes between projects, so that no project uses all of it."""

from __future__ import annotations


class ByteQuota:
    """Count the bytes that each project uses of ``max_bytes``.

    A project that uses bytes already may use more only if the sum is at most what is free before.
    So, if the single sizes are small, one project alone can use half of the limit and two projects
    a third each, and some bytes are left for another project.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total = 0
        self._held: dict[str, int] = {}

    def allows(self, project_id: str, size: int) -> bool:
        """Return whether a project may use ``size`` more bytes; always true if none are used."""
        if not self.total or not size:
            return True
        free = self.max_bytes - self.total
        held = self._held.get(project_id, 0)
        return size <= free and (not held or held + size <= free)

    def add(self, project_id: str, size: int) -> None:
        """Count ``size`` bytes as used by a project; a negative size releases them."""
        self.total += size
        held = self._held.get(project_id, 0) + size
        if held:
            self._held[project_id] = held
        else:
            self._held.pop(project_id, None)
