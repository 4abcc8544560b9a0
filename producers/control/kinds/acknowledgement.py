"""Acknowledgements of episodes of alerts, which end repeated notifications."""

from __future__ import annotations

from pydantic import Field

from producers.control.record import Microseconds, ProjectRecord


class Acknowledgement(ProjectRecord):
    """An acknowledgement of one episode. While it exists, no notifications are repeated."""

    kind = "acknowledgement"
    per_project_max = 2_000

    episode_id: str = Field(min_length=1, max_length=128)
    rule_id: str = Field("", max_length=128)
    author: str = Field("", max_length=255)
    note: str = Field("", max_length=2_000)
    created_us: Microseconds

    def unique_keys(self) -> tuple[str, ...]:
        return (f"{self.project_id}/{self.episode_id}",)
