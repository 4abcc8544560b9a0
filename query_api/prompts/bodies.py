"""Define the bodies of requests about prompts."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from producers.control.kinds.prompt import PRODUCTION, TAGS_MAX, PromptType
from producers.prompts.references import texts_of, variables_in
from query_api.body import AnyJson, Body
from query_api.openapi.prompt_examples import CREATE_PROMPT_EXAMPLE, LABELS_EXAMPLE
from query_api.prompts.names import MovableLabel, NewLabel, NewName, Tag

MESSAGES_MAX: Final = 1_000
LABELS_OF_REQUEST_MAX: Final = 50
_PLACEHOLDER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class CreatePromptBody(Body):
    """A new version of a prompt. Unknown fields are ignored, as in Langfuse."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        json_schema_extra={"examples": [CREATE_PROMPT_EXAMPLE]},
    )

    name: NewName
    prompt: AnyJson = Field(
        description="A string, or an array of messages (`role`, `content`) and placeholders"
        " (`type: placeholder`, `name`). It is stored verbatim.",
    )
    type: Literal["text", "chat"] | None = Field(
        None, description="`text`, or `chat` for an array; by default, what `prompt` is."
    )
    labels: list[NewLabel] | None = Field(None, max_length=LABELS_OF_REQUEST_MAX)
    tags: list[Tag] | None = Field(
        None,
        max_length=TAGS_MAX,
        description="Tags of all versions; without it, they do not change.",
    )
    config: AnyJson = None
    commit_message: str | None = Field(None, max_length=500)
    is_active: bool | None = Field(None, description="`true` is the label `production`.")

    @model_validator(mode="after")
    def _check_prompt(self) -> Self:
        fault = fault_of_prompt(self.prompt, self.type)
        if fault:
            raise ValueError(fault)
        return self

    @property
    def kind(self) -> PromptType:
        """Return the type of the prompt."""
        return "text" if isinstance(self.prompt, str) else "chat"

    @property
    def wanted_labels(self) -> list[str]:
        """Return the labels of the new version, without ``latest``."""
        labels = list(self.labels or ())
        if self.is_active and PRODUCTION not in labels:
            labels.append(PRODUCTION)
        return labels


class LabelsBody(Body):
    """Labels that a version gets, in addition to those that it has."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        json_schema_extra={"examples": [LABELS_EXAMPLE]},
    )

    new_labels: list[MovableLabel] = Field(max_length=LABELS_OF_REQUEST_MAX)


def fault_of_prompt(prompt: Any, declared: str | None) -> str:
    """Return why a prompt is not valid; an empty text if it is."""
    if isinstance(prompt, str):
        return "prompt: must be an array for type chat" if declared == "chat" else ""
    if not isinstance(prompt, list):
        return "prompt: must be a string, or an array of messages"
    if declared == "text":
        return "prompt: must be a string for type text; use type chat for messages"
    if len(prompt) > MESSAGES_MAX:
        return f"prompt: must have at most {MESSAGES_MAX} messages"
    return _fault_of_messages(prompt)


def _fault_of_messages(messages: list[Any]) -> str:
    placeholders: list[str] = []
    for index, message in enumerate(messages):
        fault = _fault_of_message(message)
        if fault:
            return f"prompt.{index}{fault}"
        if message.get("type") == "placeholder":
            placeholders.append(message["name"])
    shared = [name for name in variables_in(texts_of(messages)) if name in placeholders]
    if shared:
        return (
            "prompt: variables and placeholders must have different names, but these are both: "
            + ", ".join(shared)
        )
    return ""


def _fault_of_message(message: Any) -> str:
    if not isinstance(message, dict):
        return ": must be an object"
    if message.get("type") == "placeholder":
        name = message.get("name")
        if not isinstance(name, str) or not _PLACEHOLDER_NAME.fullmatch(name):
            return ".name: must be a letter followed by letters, digits and underscores"
        return ""
    for field in ("role", "content"):
        if not isinstance(message.get(field), str):
            return f".{field}: must be a string"
    if message.get("type") not in {None, "chatmessage", "message"}:
        return ".type: must be chatmessage or placeholder"
    return ""
