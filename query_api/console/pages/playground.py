"""Try a prompt with values: edit its messages, and see what an application would send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
from starlette.responses import Response

from query_api.console.dataset_targets import checked_body, dataset_for_items
from query_api.console.form_bodies import Faults, FormError
from query_api.console.form_faults import REFUSALS, faults_of, json_field, status_of
from query_api.console.page import Action, Page, View
from query_api.console.pages.datasets import dataset_path
from query_api.console.pages.prompts import prompt_path
from query_api.console.playground_form import Compiled, compile_form
from query_api.console.prompt_forms import (
    ADD,
    REMOVE,
    PromptForm,
    form_of_fields,
    form_of_version,
    version_in,
    with_content,
)
from query_api.console.responses import see_other
from query_api.console.shown_values import shown_value
from query_api.errors import BadRequestError, NotFoundError
from query_api.langfuse.dataset_bodies import DatasetItemBody
from query_api.langfuse.dataset_items import put_item
from query_api.prompts.bodies import fault_of_prompt
from query_api.prompts.library import author_of
from query_api.store.queries.observations import ReadObservations
from query_api.store.rows import OBSERVATION_WHOLE
from query_api.store.trace_reading import read_observations

MESSAGES_MAX: Final = 20
"""Messages that have fields of their own, beside those of variables; others are edited as JSON."""
PROMPTS_MAX: Final = 500
"""Names that are offered."""


async def show(view: View) -> Response:
    """Show the version of a prompt or the call of a trace that the query string names."""
    form, fields = PromptForm(kind="chat"), dict[str, str]()
    name, observation_id = view.parameter("prompt"), view.parameter("observation")
    try:
        if name:
            form = _of_prompt(view, name)
        elif observation_id:
            form, fields = await _of_call(view, view.parameter("trace"), observation_id)
    except (NotFoundError, BadRequestError) as error:
        return _show(view, form, fields, {"chosen": error.message}, error.status)
    return _show(view, form, fields, {})


async def edit(view: View) -> Response:
    """Show the form again, with a message more or less, and what would be sent."""
    return _show(view, form_of_fields(view.form), view.form, {})


async def preview(view: View) -> Response:
    """Show fields for the variables, and what would be sent, while the form is filled."""
    form = form_of_fields(view.form)
    return view.render("playground_compiled.html", **_values(view, form, view.form))


async def save_version(view: View) -> Response:
    """Create a version of a prompt with the messages as they are edited."""
    form = form_of_fields(view.form)
    if form.do == ADD or form.do.startswith(REMOVE):
        return await edit(view)
    try:
        found = await view.context.prompts.create(author_of(view.session.principal), form.body())
    except REFUSALS as error:
        return _show(view, form, view.form, faults_of(error), status_of(error))
    return see_other(prompt_path(view, form.name, version=found.record.version))


async def save_item(view: View) -> Response:
    """Add the compiled messages to a dataset, as the input of an item."""
    form, fields = form_of_fields(view.form), view.form
    documents, project_id = view.context.documents, view.project_id
    name = fields.get("dataset", "").strip()
    try:
        compiled = _compiled(view, form, fields)
        if compiled.faults:
            raise FormError(dict(compiled.faults))
        body = checked_body(
            DatasetItemBody,
            datasetName=name,
            input=compiled.content,
            expectedOutput=_expected(fields),
            sourceTraceId=fields.get("trace") or None,
            sourceObservationId=fields.get("observation") or None,
        )
        await dataset_for_items(documents, project_id, name)
        await put_item(documents, project_id, body)
    except REFUSALS as error:
        return _show(view, form, fields, faults_of(error), status_of(error))
    return see_other(dataset_path(view, name))


def _show(
    view: View, form: PromptForm, fields: Mapping[str, str], faults: Faults, status: int = 200
) -> Response:
    names = [each.name for each in view.context.prompts.prompts(view.project_id)]
    return view.render(
        "playground.html",
        status=status,
        form=form,
        names=names[:PROMPTS_MAX],
        chosen=view.parameter("prompt"),
        version=view.parameter("version"),
        form_faults=faults,
        may_write=view.may("write"),
        **_values(view, form, fields),
    )


def _values(view: View, form: PromptForm, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return what both the page and its part show."""
    compiled = _compiled(view, form, fields)
    shown = None
    if compiled.content is not None:
        settings = view.settings
        shown = shown_value(
            compiled.text, chars_max=settings.text_chars_max, nodes_max=settings.json_nodes_max
        )
    return {"compiled": compiled, "sent": shown, "fields": fields}


def _compiled(view: View, form: PromptForm, fields: Mapping[str, str]) -> Compiled:
    return compile_form(
        form,
        fields,
        view.context.prompts.of_project(view.project_id),
        chars_max=view.context.settings.prompt_resolved_max_chars,
    )


def _of_prompt(view: View, name: str) -> PromptForm:
    """Return the form of a version; by default, that with the label `production` or the latest."""
    prompt = view.context.prompts.find(view.project_id, name)
    if prompt is None:
        raise NotFoundError(f"no prompt {name[:100]!r}")
    text = view.parameter("version")
    by_label = prompt.labels.get("production", prompt.labels["latest"])
    number = version_in(text) if text else by_label
    found = view.context.prompts.version(view.project_id, name, version=number)
    return _limited(form_of_version(found))


async def _of_call(
    view: View, trace_id: str, observation_id: str
) -> tuple[PromptForm, dict[str, str]]:
    """Return the form of the messages of a call, and where they are from."""
    query = ReadObservations(
        view.project_id, trace_ids=(trace_id,), ids=(observation_id,), columns=OBSERVATION_WHOLE
    )
    rows = await read_observations(view.context.reader, query)
    if not rows:
        raise NotFoundError(f"the trace has no observation {observation_id[:128]!r}")
    row = rows[0]
    fields = {"trace": trace_id, "observation": observation_id, "expected": row.output}
    form = PromptForm(name=row.prompt_name)
    return _limited(with_content(form, _content_of(row.input))), fields


def _content_of(text: str) -> Any:
    """Return the messages of an input; what is not a chat is one text."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    messages = value.get("messages") if isinstance(value, Mapping) else value
    if isinstance(messages, list) and messages and not fault_of_prompt(messages, "chat"):
        return messages
    return value if isinstance(value, str) else text


def _limited(form: PromptForm) -> PromptForm:
    """Return a form whose messages have fields only if they are few."""
    if form.kind != "chat" or len(form.messages) <= MESSAGES_MAX:
        return form
    return replace(with_content(form, form.prompt, MESSAGES_MAX), kind="json")


def _expected(fields: Mapping[str, str]) -> Any:
    """Return the expected output: JSON if it is, or else the text; None if it is empty."""
    text = fields.get("expected", "").replace("\r\n", "\n").strip()
    try:
        return json_field({"expected": text}, "expected")
    except FormError:
        return text


REGISTERED = (
    Page("/playground", show, title="Playground", group="improve", place=15),
    Action("/playground-edits", edit, scope="read"),
    Action("/playground-previews", preview, scope="read"),
    Action("/playground-versions", save_version),
    Action("/playground-items", save_item),
)
