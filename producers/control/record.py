"""Define control records, and the changes that subscribers receive.

Later versions only add fields, which have a default; readers ignore unknown fields. Money is
integer picodollars; times are integer microseconds since the epoch, UTC.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]
NEW_PROJECT_ID: Final = r"^[A-Za-z0-9._:@][A-Za-z0-9._:@-]{0,127}$"
Picodollars = Annotated[int, Field(ge=0, lt=2**63)]
Microseconds = Annotated[int, Field(ge=0, lt=2**53)]


class ControlRecord(BaseModel):
    """A record of the control-plane log. Each subclass in ``producers.control.kinds`` is a kind."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: ClassVar[str]
    """Name of the kind in the log."""
    plural: ClassVar[str]
    """Plural of the name in messages and settings; by default, the name with an s."""
    per_project_max: ClassVar[int | None] = None
    """Default of the setting ``<plural>_per_project_max``; None: no limit per project."""

    id: Identifier

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" in cls.__dict__ and "plural" not in cls.__dict__:
            cls.plural = f"{cls.kind.replace('_', ' ')}s"

    @property
    def owner(self) -> str | None:
        """Return the project that owns the record; None if the installation owns it."""
        return None

    @property
    def position(self) -> tuple[int, str]:
        """Return the sort key in lists: the time of creation, then the id."""
        return getattr(self, "created_us", 0), self.id

    def unique_keys(self) -> tuple[str, ...]:
        """Return keys that no other record of the kind may have, in addition to the id."""
        return ()

    def outline(self) -> Self:
        """Return the record without what only processes need that serve its contents."""
        return self


class ProjectRecord(ControlRecord):
    """A record that belongs to a project."""

    project_id: Identifier

    @property
    def owner(self) -> str:
        return self.project_id


class Tombstone(BaseModel):
    """A deleted record, as subscribers receive it."""

    model_config = ConfigDict(frozen=True)

    kind: str
    id: str


Change = ControlRecord | Tombstone


def new_project_id(text: str) -> str:
    """Check that an id is allowed for a new project, and return it.

    Raises:
        ValueError: the id cannot be used in paths or on the command line.
    """
    if text in {".", ".."} or not re.fullmatch(NEW_PROJECT_ID, text):
        raise ValueError(
            f"{text[:128]!r} is not allowed; an id is 1 to 128 letters (a-z), digits and . _ : @ -,"
            " does not begin with -, and is neither . nor .."
        )
    return text
