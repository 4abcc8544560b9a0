"""Keep the tiers of all users in memory, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from types import MappingProxyType
from typing import Final

from producers.tiers.record import Tier

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class TierBook:
    """The tier of each user, by project. The last record of a user is valid."""

    def __init__(self) -> None:
        self._of_project: dict[str, dict[str, str]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def tier_of(self, project_id: str, user_id: str) -> str:
        """Return the tier of a user; empty if the user has none."""
        return self._of_project.get(project_id, _NONE).get(user_id, "")

    def in_project(self, project_id: str) -> Mapping[str, str]:
        """Return the tiers of a project by user."""
        return self._of_project.get(project_id, _NONE)

    def apply(self, changed: Tier) -> bool:
        """Apply a record; return whether it changed something."""
        users = self._of_project.setdefault(changed.project_id, {})
        before = users.get(changed.user_id, "")
        if changed.tier:
            users[changed.user_id] = intern(changed.tier)  # there are few names of tiers
        else:
            users.pop(changed.user_id, None)
            if not users:
                del self._of_project[changed.project_id]
        self._count += bool(changed.tier) - bool(before)
        return before != changed.tier
