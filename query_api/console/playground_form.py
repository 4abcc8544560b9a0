"""Compile what the form of the playground contains, as an application would before a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from producers.prompts.compilation import compiled
from producers.prompts.composition import Composer, CompositionError, Source
from producers.prompts.references import references_in, texts_of, variables_in
from query_api.console.form_bodies import Faults, FormError
from query_api.console.form_faults import json_field
from query_api.console.prompt_forms import PromptForm
from query_api.console.prompt_texts import PLACEHOLDER
from query_api.prompts.bodies import fault_of_prompt
from query_api.prompts.dependents import Prompts

VALUE: Final = "value."
MESSAGES: Final = "placeholder."
"""What the names of the fields of variables and of placeholders begin with."""
FIELDS_MAX: Final = 40
"""Maximum number of variables and placeholders that have fields."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What would be sent, and the fields that it was made of."""

    content: Any = None
    """A text or a list of messages; None if there are faults."""
    variables: Sequence[str] = ()
    placeholders: Sequence[str] = ()
    missing: Sequence[str] = ()
    """Names without a value, which are still in the content."""
    faults: Mapping[str, str] | None = None

    @property
    def text(self) -> str:
        """Return the content as the input of an observation is stored."""
        content = self.content
        return content if isinstance(content, str) else msgspec.json.encode(content).decode()


def compile_form(
    form: PromptForm, fields: Mapping[str, str], prompts: Prompts, *, chars_max: int
) -> Compiled:
    """Return the compiled prompt of a form; what is wrong are its faults."""
    try:
        content = form.prompt
        if message := fault_of_prompt(content, None):
            return Compiled(faults={"prompt": message})
        content = _resolved(content, form.name, prompts, chars_max)
    except FormError as error:
        return Compiled(faults=error.faults)
    except CompositionError as error:
        return Compiled(faults={"prompt": str(error)})
    variables = variables_in(texts_of(content))
    placeholders = _placeholders(content)
    values = {name: fields.get(f"{VALUE}{name}", "").replace("\r\n", "\n") for name in variables}
    values = {name: value for name, value in values.items() if value}
    messages: dict[str, list[Any]] = {}
    faults: Faults = {}
    for name in placeholders:
        field = f"{MESSAGES}{name}"
        try:
            found = json_field(fields, field)
        except FormError as error:
            faults |= error.faults
            continue
        if isinstance(found, list):
            messages[name] = found
        elif found is not None:
            faults[field] = "must be a JSON array of messages"
    if len(variables) + len(placeholders) > FIELDS_MAX:
        faults["prompt"] = f"at most {FIELDS_MAX} variables and placeholders are allowed here"
    missing = [name for name in (*variables, *placeholders) if name not in values | messages]
    result = None if faults else compiled(content, values, messages)
    return Compiled(
        result, variables[:FIELDS_MAX], placeholders[:FIELDS_MAX], missing, faults or None
    )


def _resolved(content: Any, name: str, prompts: Prompts, chars_max: int) -> Any:
    """Return a prompt with the texts of the prompts that it includes.

    Raises:
        CompositionError: a reference cannot be resolved.
    """
    references = references_in(texts_of(content))
    if not references:
        return content
    draft = Source("draft", name, 0, isinstance(content, str), references, lambda: content)
    return Composer(prompts.find, chars_max).resolve(draft).content


def _placeholders(content: Any) -> tuple[str, ...]:
    if isinstance(content, str):
        return ()
    names = (
        each.get("name")
        for each in content
        if isinstance(each, Mapping) and each.get("type") == PLACEHOLDER
    )
    return tuple(dict.fromkeys(each for each in names if isinstance(each, str)))
