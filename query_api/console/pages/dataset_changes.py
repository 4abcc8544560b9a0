"""Create and change datasets and their items, and delete items and runs."""

from __future__ import annotations

from starlette.responses import Response

from producers.documents.kinds.dataset_item import DatasetItem
from query_api.console.dataset_forms import dataset_form_of, item_form_of
from query_api.console.edit_forms import StaleFormError
from query_api.console.form_bodies import FormError
from query_api.console.form_faults import REFUSALS, faults_of, status_of
from query_api.console.page import Action, View
from query_api.console.pages.datasets import (
    STATUSES,
    dataset_path,
    show_dataset_form,
    show_item_form,
)
from query_api.console.responses import see_other
from query_api.documents.document import DocumentVersionError
from query_api.errors import BadRequestError, NotFoundError
from query_api.experiments.runs import delete_with_items, run_named
from query_api.langfuse.dataset_bodies import DatasetItemBody
from query_api.langfuse.dataset_items import put_item
from query_api.langfuse.datasets import put_dataset
from query_api.v1.dataset_lookup import dataset_named

DELETE = "DELETE"


async def change_dataset(view: View) -> Response:
    """Create a dataset, or change the one with this name."""
    form = dataset_form_of(view.form)
    documents = view.context.documents
    try:
        before = await dataset_named(documents, view.project_id, form.name)
    except NotFoundError:
        before = None
    shown = before if view.form.get("is_change") else None
    if before is not None and shown is None:
        fault = {"name": "there is a dataset with this name"}
        return show_dataset_form(view, form, fault, None, 422)
    try:
        dataset = await put_dataset(
            documents, view.project_id, form.body(), form.version if shown else ""
        )
    except DocumentVersionError:
        stale = StaleFormError()
        return show_dataset_form(view, form, stale.faults, shown, status_of(stale))
    except REFUSALS as error:
        return show_dataset_form(view, form, faults_of(error), shown, status_of(error))
    return see_other(dataset_path(view, dataset.body.name))


async def change_item(view: View) -> Response:
    """Create or change an item; a refused one is shown with the faults."""
    name, form = view.form.get("dataset", ""), item_form_of(view.form)
    documents = view.context.documents
    dataset = await dataset_named(documents, view.project_id, name)
    try:
        if form.is_new and form.id:
            await _refuse_existing(view, form.id)
        opened = form.version if form.id else None
        item = await put_item(documents, view.project_id, form.body(name), opened)
    except DocumentVersionError:
        stale = StaleFormError()
        return show_item_form(view, dataset, form, stale.faults, status_of(stale))
    except REFUSALS as error:
        return show_item_form(view, dataset, form, faults_of(error), status_of(error))
    return see_other(dataset_path(view, name, item=item.id))


async def change_state(view: View) -> Response:
    """Archive, restore or delete an item."""
    name, item_id = view.form.get("dataset", ""), view.form.get("item", "")
    status = view.form.get("status", "")
    documents = view.context.documents
    dataset = await dataset_named(documents, view.project_id, name)
    item = await documents.get(DatasetItem, view.project_id, item_id)
    if item is None or item.body.dataset_id != dataset.id:
        raise NotFoundError(f"the dataset has no item {item_id[:100]!r}")
    if status == DELETE:
        await documents.delete(DatasetItem, view.project_id, item_id)
    elif status in STATUSES:
        body = DatasetItemBody.model_validate(
            {"datasetName": name, "id": item_id, "status": status}
        )
        await put_item(documents, view.project_id, body)
        return see_other(dataset_path(view, name, item=item_id))
    else:
        allowed = ", ".join((*STATUSES, DELETE))
        raise BadRequestError(f"status: must be one of {allowed}", field="status")
    return see_other(dataset_path(view, name))


async def delete_run(view: View) -> Response:
    """Delete a run; its traces remain."""
    name, run_name = view.form.get("dataset", ""), view.form.get("run", "")
    dataset = await dataset_named(view.context.documents, view.project_id, name)
    run = await run_named(view.context, dataset, run_name)
    if run is None:
        raise NotFoundError(f"the dataset has no run {run_name[:100]!r}")
    await delete_with_items(view.context, run)
    return see_other(dataset_path(view, name, tab="runs"))


async def _refuse_existing(view: View, item_id: str) -> None:
    """Refuse the id of an item that exists, which the form of a new one would change."""
    if await view.context.documents.get(DatasetItem, view.project_id, item_id) is not None:
        raise FormError({"id": "there is an item with this id"})


REGISTERED = (
    Action("/dataset-changes", change_dataset),
    Action("/dataset-item-changes", change_item),
    Action("/dataset-item-states", change_state),
    Action("/dataset-run-deletions", delete_run),
)
