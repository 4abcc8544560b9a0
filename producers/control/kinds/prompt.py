"""Prompts: which versions a name has, and which version each label is on.

One record per name has the labels of all its versions. So one write moves a label, and a label is
never on two versions.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal

from pydantic import Field

from producers.control.record import Microseconds, ProjectRecord

VERSIONS_MAX: Final = 1_000
LABELS_MAX: Final = 200
TAGS_MAX: Final = 100
LATEST: Final = "latest"
"""Label of the version with the highest number; it moves automatically."""
PRODUCTION: Final = "production"
"""Label of the version that is returned if neither a version nor a label is given."""
VersionNumber = Annotated[int, Field(ge=1, lt=2**31)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9_\-.]{1,36}$")]
PromptType = Literal["text", "chat"]


class Prompt(ProjectRecord):
    """A prompt without the content of its versions (``PromptVersion``)."""

    kind = "prompt"
    per_project_max = 2_000

    name: str = Field(min_length=1, max_length=255)
    type: PromptType
    key: str = Field(pattern=r"^pv_[0-9a-f]{16}$")
    """Beginning of the ids of versions; a prompt that is created again has another one."""
    versions: dict[VersionNumber, Microseconds] = Field(max_length=VERSIONS_MAX)
    """Existing versions, and when their content, labels or tags last changed."""
    last_version: VersionNumber
    """Highest number that was ever used; numbers of deleted versions are not used again."""
    labels: dict[Label, VersionNumber] = Field({}, max_length=LABELS_MAX)
    tags: tuple[str, ...] = Field((), max_length=TAGS_MAX)
    split: tuple[tuple[Label, int], ...] = ()
    """Labels and the lengths of their runs of slots (``producers.prompts.split``); empty: the
    traffic is not split."""
    created_us: Microseconds
    updated_us: Microseconds

    def id_of_version(self, number: int) -> str:
        """Return the id of the record of a version."""
        return f"{self.key}.{number}"

    def labels_of(self, number: int) -> list[str]:
        """Return the labels of a version, in the order in which they were set."""
        return [label for label, held in self.labels.items() if held == number]


def prompt_id(project_id: str, name: str) -> str:
    """Return the id of the record of a name."""
    digest = hashlib.sha256(f"{project_id}\0{name}".encode(errors="replace")).hexdigest()
    return f"prm_{digest[:24]}"
