"""Define the base class of the kinds of documents."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class DocumentBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a document. Each subclass in ``producers.documents.kinds`` is a kind.

    Later versions only add fields, which have a default; readers ignore unknown fields.
    """

    kind: ClassVar[str]
    """Name of the kind in the log and in the table."""
    plural: ClassVar[str]
    """Plural of the name in messages and settings; by default, the name with an s."""
    per_project_max: ClassVar[int]
    """Default of the setting ``<plural>_per_project_max``."""
    is_versioned: ClassVar[bool] = False
    """Whether earlier versions are kept, so that documents can be read as of a time."""
    is_cached: ClassVar[bool] = False
    """Whether query processes cache documents that they read by id; for kinds with few of them."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" in cls.__dict__ and "plural" not in cls.__dict__:
            cls.plural = f"{cls.kind.replace('_', ' ')}s"

    @classmethod
    def limit_setting(cls) -> str:
        """Return the name of the setting that limits the documents of a project."""
        return f"{cls.plural.replace(' ', '_')}_per_project_max"

    def parent_id(self) -> str:
        """Return what the document belongs to, such as the dataset of an item; empty: nothing."""
        return ""

    def found_by_name(self) -> str:
        """Return the name by which the document can be found; empty: it has none."""
        return ""

    def found_by_status(self) -> str:
        """Return the status by which documents can be filtered; empty: they have none."""
        return ""

    def subject_id(self) -> str:
        """Return what the document refers to, such as a trace; empty: nothing."""
        return ""
