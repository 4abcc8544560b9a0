"""Check the names, labels and tags of prompts."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Path
from pydantic import AfterValidator, Field

from producers.control.kinds.prompt import LATEST
from query_api.body import require_unicode
from query_api.openapi.prompt_examples import PROMPT_EXAMPLE

NAME_MAX: Final = 255
PATH_NAME_MAX: Final = 1_000
LABEL_PATTERN: Final = r"^[a-z0-9_\-.]{1,36}$"
_TAG_OF_HTML: Final = re.compile(r"<[A-Za-z/!][^>]*>")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def _check_name(name: str) -> str:
    if "|" in name:
        raise ValueError("must not contain |, because references to prompts use it")
    if name == "new":
        raise ValueError("must not be 'new'")
    if _TAG_OF_HTML.search(name):
        raise ValueError("must not contain HTML tags")
    if _CONTROL.search(name):
        raise ValueError("must not contain control characters")
    if "@@@" in name:
        raise ValueError("must not contain @@@, because references to prompts use it")
    if name.startswith("/") or name.endswith("/") or "//" in name:
        raise ValueError("folders must have names: no / at the beginning or the end, and no //")
    if re.fullmatch(r"\.{1,2}", name) or any(part in {".", ".."} for part in name.split("/")):
        raise ValueError("folders and prompts must not be named . or ..")
    return require_unicode(name)


def _check_label(label: str) -> str:
    if label == LATEST:
        raise ValueError("Label 'latest' is always assigned to the latest prompt version")
    return label


NewName = Annotated[str, Field(min_length=1, max_length=NAME_MAX), AfterValidator(_check_name)]
"""Name of a prompt that is created."""
NewLabel = Annotated[str, Field(pattern=LABEL_PATTERN)]
MovableLabel = Annotated[str, Field(pattern=LABEL_PATTERN), AfterValidator(_check_label)]
"""Label that clients can move."""
Tag = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(require_unicode)]
PromptName = Annotated[
    str, Path(min_length=1, max_length=PATH_NAME_MAX, examples=[PROMPT_EXAMPLE["name"]])
]
"""Name of a prompt in a path, raw or with encoded slashes."""
