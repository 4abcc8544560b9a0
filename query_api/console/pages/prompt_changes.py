"""Change prompts: create versions, move and remove labels, and delete versions."""

from __future__ import annotations

from starlette.responses import Response

from query_api.console.form_bodies import FormError, checked
from query_api.console.form_faults import (
    REFUSALS,
    body_with_field_faults,
    faults_of,
    number_of,
    status_of,
)
from query_api.console.page import Action, View
from query_api.console.pages.prompt import show_form, show_prompt
from query_api.console.pages.prompts import prompt_path
from query_api.console.prompt_forms import ADD, REMOVE, form_of_fields, version_in
from query_api.console.responses import see_other
from query_api.prompts.bodies import LabelsBody
from query_api.prompts.library import author_of
from query_api.v1.prompt_split import SplitBody, put_split

WEIGHT = "weight."
"""Beginning of the names of fields with the weights of labels."""


async def preview(view: View) -> Response:
    """Show the variables of a prompt while it is written."""
    form = form_of_fields(view.form)
    try:
        texts = form.texts()
    except FormError as error:
        return view.render("prompt_variables.html", texts=None, faults=error.faults)
    return view.render("prompt_variables.html", texts=texts, faults={})


async def create_version(view: View) -> Response:
    """Create the next version of a prompt; a refused one is shown with the faults."""
    form = form_of_fields(view.form)
    library = view.context.prompts
    prompt = library.find(view.project_id, form.name) if view.form.get("is_version") else None
    if form.do == ADD or form.do.startswith(REMOVE):
        return show_form(view, form, prompt, {})
    if not view.form.get("is_version") and library.find(view.project_id, form.name):
        fault = {"name": "there is a prompt with this name; open it to add a version"}
        return show_form(view, form, prompt, fault, 422)
    try:
        found = await library.create(author_of(view.session.principal), form.body())
    except REFUSALS as error:
        return show_form(view, form, prompt, faults_of(error), status_of(error))
    return see_other(prompt_path(view, form.name, version=found.record.version))


async def move_label(view: View) -> Response:
    """Move a label to a version."""
    name, label = view.form.get("name", ""), view.form.get("label", "").strip()
    version = version_in(view.form.get("version", ""))
    try:
        body = body_with_field_faults(LabelsBody, {"new_labels": [label]})
        author = author_of(view.session.principal)
        await view.context.prompts.set_labels(author, name, version, body.new_labels)
    except REFUSALS as error:
        faults, status = faults_of(error), status_of(error)
        return await show_prompt(view, name, "", faults=faults, status=status)
    return see_other(prompt_path(view, name, version=version, moved=label))


async def remove_label(view: View) -> Response:
    """Remove a label from the version that has it."""
    name, label = view.form.get("name", ""), view.form.get("label", "")
    try:
        await view.context.prompts.remove_label(author_of(view.session.principal), name, label)
    except REFUSALS as error:
        faults, status = faults_of(error), status_of(error)
        return await show_prompt(view, name, "", faults=faults, status=status)
    return see_other(prompt_path(view, name))


async def split_traffic(view: View) -> Response:
    """Split the traffic over labels by weight; without weights, it is not split."""
    name = view.form.get("name", "")
    try:
        weights: dict[str, float] = {}
        for label in checked(view.form, WEIGHT):
            if text := view.form[f"{WEIGHT}{label}"].strip():
                weights[label] = number_of(text, "weights")
        body = body_with_field_faults(SplitBody, {"weights": weights})
        author = author_of(view.session.principal)
        await put_split(view.context.prompts, author, name, body)
    except REFUSALS as error:
        faults, status = faults_of(error), status_of(error)
        return await show_prompt(view, name, "metrics", faults=faults, status=status)
    return see_other(prompt_path(view, name, view="metrics"))


async def delete_version(view: View) -> Response:
    """Delete a version; with the last one, the prompt is gone."""
    name, version = view.form.get("name", ""), version_in(view.form.get("version", ""))
    library = view.context.prompts
    try:
        author = author_of(view.session.principal)
        await library.delete(author, name, version=version, label=None)
    except REFUSALS as error:
        faults, status = faults_of(error), status_of(error)
        return await show_prompt(view, name, "", faults=faults, status=status)
    if library.find(view.project_id, name) is None:
        return see_other(prompt_path(view, "").removesuffix("/"))
    return see_other(prompt_path(view, name))


REGISTERED = (
    Action("/prompt-preview", preview, scope="read"),
    Action("/prompt-versions", create_version),
    Action("/prompt-labels", move_label),
    Action("/prompt-label-removals", remove_label),
    Action("/prompt-version-deletions", delete_version),
    Action("/prompt-splits", split_traffic),
)
