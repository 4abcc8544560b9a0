"""Views of the console's pages that people save under a name."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import msgspec

from producers.documents.kind import DocumentBody


class SavedView(DocumentBody, frozen=True, kw_only=True):
    """A view. Its id depends on the project, the page and the name, so that names are unique."""

    kind: ClassVar = "saved_view"
    per_project_max: ClassVar = 1_000

    page: str
    name: str
    query: str
    """Query string of the page, without a question mark."""
    author: str = ""
    """Public key of who created it."""

    def parent_id(self) -> str:
        return self.page

    def found_by_name(self) -> str:
        return self.name


def saved_view_id(project_id: str, page: str, name: str) -> str:
    """Return the id of the view of a page with a name."""
    identity = msgspec.json.encode(["saved_view", project_id, page, name])
    return hashlib.sha256(identity).hexdigest()[:24]
