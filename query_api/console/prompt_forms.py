"""Read the form of a prompt, and fill it from a version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from query_api.console.form_bodies import digits_in, words_of
from query_api.console.form_faults import body_with_field_faults, json_field
from query_api.console.prompt_texts import (
    PLACEHOLDER,
    PromptTexts,
    config_to_compare,
    content_of,
    prompt_texts,
)
from query_api.errors import BadRequestError
from query_api.prompts.bodies import CreatePromptBody
from query_api.prompts.library import FoundVersion

VERSION_DIGITS_MAX: Final = 9
MESSAGES_MAX: Final = 40
"""Messages of a chat that have fields of their own; longer chats are edited as JSON."""
KINDS: Final = ("text", "chat", "json")
ADD: Final = "add"
REMOVE: Final = "remove."
"""Beginnings of what a button of the form does."""


@dataclass(frozen=True, slots=True)
class MessageField:
    """A message; of a placeholder, ``content`` is the name."""

    role: str
    content: str


FIRST_MESSAGES: Final = (MessageField("system", ""), MessageField("user", ""))
"""Messages of a new chat."""


@dataclass(frozen=True, slots=True)
class PromptForm:
    """What the form of a version contains."""

    name: str = ""
    kind: str = "text"
    """``json``: a chat as JSON, because a message has more than a role and a content."""
    text: str = ""
    messages: Sequence[MessageField] = FIRST_MESSAGES
    content: str = ""
    config: str = ""
    labels: str = ""
    tags: str = ""
    commit_message: str = ""
    do: str = ""

    @property
    def prompt(self) -> Any:
        """Return the prompt of the form.

        Raises:
            FormError: it is not JSON, although it should be.
        """
        if self.kind == "text":
            return self.text
        if self.kind == "json":
            return json_field({"prompt": self.content}, "prompt", otherwise=[])
        return [
            {"type": PLACEHOLDER, "name": each.content}
            if each.role == PLACEHOLDER
            else {"role": each.role, "content": each.content}
            for each in self.messages
        ]

    def body(self) -> CreatePromptBody:
        """Return the body of the request that creates the version.

        Raises:
            FormError: a field is invalid.
        """
        given = {
            "name": self.name,
            "prompt": self.prompt,
            "type": "text" if self.kind == "text" else "chat",
            "labels": words_of(self.labels),
            "tags": words_of(self.tags),
            "config": json_field({"config": self.config}, "config"),
            "commit_message": self.commit_message or None,
        }
        return body_with_field_faults(CreatePromptBody, given)

    def texts(self) -> PromptTexts:
        """Return what the prompt consists of. Raises like ``prompt``."""
        prompt = self.prompt
        return prompt_texts(prompt if isinstance(prompt, str | list) else [])


def form_of_fields(fields: Mapping[str, str]) -> PromptForm:
    """Return the form that a browser sent; line ends are those of Unix."""
    given = {name: value.replace("\r\n", "\n") for name, value in fields.items()}
    messages = [
        MessageField(given[f"role.{index}"].strip(), given.get(f"content.{index}", ""))
        for index in range(MESSAGES_MAX)
        if f"role.{index}" in given
    ]
    do = given.get("do", "")
    if do == ADD and len(messages) < MESSAGES_MAX:
        messages.append(MessageField("user", ""))
    elif do.startswith(REMOVE) and do.removeprefix(REMOVE).isdecimal():
        removed = int(do.removeprefix(REMOVE)[:4])
        messages = [each for index, each in enumerate(messages) if index != removed]
    kind = given.get("kind", "text")
    return PromptForm(
        name=given.get("name", "").strip(),
        kind=kind if kind in KINDS else "text",
        text=given.get("text", ""),
        messages=messages or FIRST_MESSAGES,
        content=given.get("content", ""),
        config=given.get("config", ""),
        labels=given.get("labels", ""),
        tags=given.get("tags", ""),
        commit_message=given.get("commit_message", "").strip(),
        do=do,
    )


def form_of_version(found: FoundVersion) -> PromptForm:
    """Return the form that would create a version again, without its labels."""
    content = content_of(found.record)
    form = PromptForm(
        name=found.prompt.name,
        tags=", ".join(found.prompt.tags),
        config=config_to_compare(found.record),
    )
    return with_content(form, content)


def with_content(form: PromptForm, content: Any, messages_max: int = MESSAGES_MAX) -> PromptForm:
    """Return a form with this content, a string or a list of messages."""
    if isinstance(content, str):
        return replace(form, kind="text", text=content)
    messages = [_message(each) for each in content]
    plain = [each for each in messages if each is not None]
    if len(plain) == len(messages) <= messages_max and plain:
        return replace(form, kind="chat", messages=plain)
    text = json.dumps(content, ensure_ascii=False, indent=2)
    return replace(form, kind="json", content=text)


def _message(message: Any) -> MessageField | None:
    """Return the fields of a message; None if it has more than a role and a content."""
    if not isinstance(message, dict):
        return None
    if message.get("type") == PLACEHOLDER and message.keys() == {"type", "name"}:
        return MessageField(PLACEHOLDER, str(message["name"]))
    content = message.get("content")
    is_plain = message.keys() == {"role", "content"} and message["role"] != PLACEHOLDER
    if is_plain and isinstance(content, str):
        return MessageField(str(message["role"]), content)
    return None


def version_in(text: str) -> int:
    """Return the number of a version.

    Raises:
        BadRequestError: it is not a number.
    """
    number = digits_in(text, VERSION_DIGITS_MAX)
    if number is None:
        raise BadRequestError("version: must be the number of a version", field="version")
    return number
