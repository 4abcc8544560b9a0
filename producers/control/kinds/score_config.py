"""Score configs: the type and the allowed values of the scores that refer to them."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from producers.control.record import Microseconds, ProjectRecord

NAME_CHARS_MAX: Final = 35
CATEGORIES_MAX: Final = 500
DESCRIPTION_CHARS_MAX: Final = 5_000
LABEL_CHARS_MAX: Final = 200
ConfigDataType = Literal["NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT"]


class Category(BaseModel):
    """An allowed text of a categorical score, and the number that stands for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: str = Field(max_length=LABEL_CHARS_MAX)
    value: float


class ScoreConfig(ProjectRecord):
    """The type and the allowed values of scores that refer to this config."""

    kind = "score_config"
    per_project_max = 1_000

    name: str
    data_type: ConfigDataType
    categories: tuple[Category, ...] = Field((), max_length=CATEGORIES_MAX)
    min_value: float | None = None
    max_value: float | None = None
    description: str | None = Field(None, max_length=DESCRIPTION_CHARS_MAX)
    is_archived: bool = False
    """Whether new scores must not refer to it."""
    created_us: Microseconds
    updated_us: Microseconds
