"""Comments on traces, observations, sessions and prompts."""

from __future__ import annotations

from typing import ClassVar

from producers.documents.kind import DocumentBody


class Comment(DocumentBody, frozen=True, kw_only=True):
    """A comment."""

    kind: ClassVar = "comment"
    per_project_max: ClassVar = 1_000_000

    object_type: str
    """``TRACE``, ``OBSERVATION``, ``SESSION`` or ``PROMPT``."""
    object_id: str
    content: str
    author_user_id: str | None = None

    def parent_id(self) -> str:
        return self.object_type

    def found_by_name(self) -> str:
        return self.author_user_id or ""

    def subject_id(self) -> str:
        return self.object_id
