"""The registry of the kinds of documents, the modules in ``producers.documents.kinds``."""

from __future__ import annotations

import re
from typing import Final

from producers.documents import kinds
from producers.documents.kind import DocumentBody
from producers.registration import ByName, subclasses_in

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class DocumentKinds(ByName[type[DocumentBody]]):
    """Kinds of documents by name."""

    def __init__(self, *bodies: type[DocumentBody]) -> None:
        """Register kinds of documents.

        Raises:
            TypeError: a kind has no valid name, or no limit per project.
            ValueError: two kinds have the same name.
        """
        for body in bodies:
            name = getattr(body, "kind", None)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise TypeError(f"{body.__name__}.kind must be a name in snake case, not {name!r}")
            if getattr(body, "per_project_max", 0) < 1:
                raise TypeError(f"{body.__name__}.per_project_max must be at least 1")
        super().__init__("kinds of documents", ((each.kind, each) for each in bodies))


DOCUMENT_KINDS: Final = DocumentKinds(*subclasses_in(kinds, DocumentBody))
"""All kinds of this version."""
