"""List datasets, and show one with its items and runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from query_api.console.dataset_forms import (
    DatasetForm,
    ItemForm,
    form_of_dataset,
    form_of_item,
)
from query_api.console.experiment_rows import preview_of
from query_api.console.form_bodies import Faults
from query_api.console.page import Page, View
from query_api.console.pages.sdk_links import page_of_link
from query_api.console.record_lists import page_number
from query_api.console.shown_values import ShownValue, shown_value
from query_api.documents.document import Document
from query_api.errors import BadRequestError, NotFoundError
from query_api.experiments.runs import page_of_runs
from query_api.v1.dataset_lookup import dataset_named

DATASETS: Final = 20
ITEMS: Final = 50
RUNS: Final = 50
TABS: Final = ("items", "runs", "settings")
STATUSES: Final = ("ACTIVE", "ARCHIVED")
TEXTS: Final = ("input", "expected_output", "metadata")
COMPARED_FIRST: Final = 2
"""Newest runs that are chosen for a comparison at first."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    item: Document[DatasetItem]
    input: str
    expected_output: str


async def show_list(view: View) -> Response:
    """Show a page of datasets, the newest first."""
    page = page_number(view)
    documents = view.context.documents
    found, total = await documents.page(
        Dataset, view.project_id, offset=(page - 1) * DATASETS, limit=DATASETS
    )
    ids = [each.id for each in found]
    items = await documents.children(DatasetItem, view.project_id, ids, status="ACTIVE")
    return view.render(
        "datasets.html",
        rows=[(each, items[each.id][0] if each.id in items else 0) for each in found],
        path_of=lambda name: dataset_path(view, name),
        may_write=view.may("write"),
        is_first=page == 1,
        following=f"?page={page + 1}" if total > page * DATASETS else "",
    )


async def show_new(view: View) -> Response:
    """Show the form of a new dataset."""
    return show_dataset_form(view, DatasetForm(), {})


async def show(view: View) -> Response:
    """Show a dataset; a link of Langfuse, which has its id, leads to the page it means."""
    name = view.request.path_params["name"]
    try:
        dataset = await dataset_named(view.context.documents, view.project_id, name)
    except NotFoundError:
        linked = await page_of_link(view, name)
        if linked is None:
            raise
        return linked
    return await _show(view, dataset)


async def _show(view: View, dataset: Document[Dataset]) -> Response:
    """Show the items of a dataset, one of them, its runs, or its settings."""
    tab = view.parameter("tab") or TABS[0]
    if tab not in TABS:
        raise BadRequestError(f"tab: must be one of {', '.join(TABS)}", field="tab")
    if tab == "settings":
        return show_dataset_form(view, form_of_dataset(dataset.body), {}, dataset)
    if view.parameter("add"):
        return show_item_form(view, dataset, ItemForm(), {})
    item_id = view.parameter("item")
    if tab == "items" and item_id:
        item = await _item(view, dataset, item_id)
        if view.parameter("edit"):
            return show_item_form(view, dataset, form_of_item(item), {})
        return _render(view, dataset, "items", item=item, texts=_texts(view, item))
    if tab == "runs":
        return await _runs(view, dataset)
    return await _items(view, dataset)


def show_dataset_form(
    view: View,
    form: DatasetForm,
    faults: Faults,
    dataset: Document[Dataset] | None = None,
    status: int = 200,
) -> Response:
    """Show the form of a new dataset, or of the one that is changed."""
    if dataset is None:
        return view.render("dataset_form.html", form=form, faults=faults, status=status)
    return _render(view, dataset, "settings", status=status, form=form, faults=faults)


def show_item_form(
    view: View, dataset: Document[Dataset], form: ItemForm, faults: Faults, status: int = 200
) -> Response:
    """Show the form of an item."""
    return _render(view, dataset, "items", status=status, item_form=form, faults=faults)


def dataset_path(view: View, name: str, /, **parameters: object) -> str:
    """Return the path of the page of a dataset."""
    path = view.path("datasets", name)
    return f"{path}?{urlencode(parameters)}" if parameters else path


async def _items(view: View, dataset: Document[Dataset]) -> Response:
    status = view.parameter("status") or STATUSES[0]
    if status not in STATUSES:
        raise BadRequestError(f"status: must be one of {', '.join(STATUSES)}", field="status")
    page = page_number(view)
    found, total = await view.context.documents.page(
        DatasetItem,
        view.project_id,
        offset=(page - 1) * ITEMS,
        limit=ITEMS,
        parent=dataset.id,
        status=status,
    )
    return _render(
        view,
        dataset,
        "items",
        rows=[
            ItemRow(each, preview_of(each.body.input), preview_of(each.body.expected_output))
            for each in found
        ],
        total=total,
        item_status=status,
        **_pages(page, total > page * ITEMS, tab="items", status=status),
    )


async def _runs(view: View, dataset: Document[Dataset]) -> Response:
    page = page_number(view)
    runs, total = await page_of_runs(view.context, dataset, (page - 1) * RUNS, RUNS)
    return _render(
        view,
        dataset,
        "runs",
        runs=[(each, preview_of(each.body.metadata or None)) for each in runs],
        chosen={each.id for each in runs[:COMPARED_FIRST]} if page == 1 else set(),
        **_pages(page, total > page * RUNS, tab="runs"),
    )


def _render(
    view: View, dataset: Document[Dataset], tab: str, *, status: int = 200, **values: Any
) -> Response:
    path_of: Callable[..., str] = lambda **more: dataset_path(view, dataset.body.name, **more)  # noqa: E731
    return view.render(
        "dataset.html",
        status=status,
        dataset=dataset,
        tab=tab,
        path_of=path_of,
        may_write=view.may("write"),
        **{"item": None, "item_form": None, "form": None, "faults": {}, **values},
    )


def _pages(page: int, has_more: bool, **parameters: str) -> dict[str, Any]:
    following = urlencode({**parameters, "page": page + 1})
    return {"is_first": page == 1, "following": f"?{following}" if has_more else ""}


async def _item(view: View, dataset: Document[Dataset], item_id: str) -> Document[DatasetItem]:
    item = await view.context.documents.get(DatasetItem, view.project_id, item_id)
    if item is None or item.body.dataset_id != dataset.id:
        raise NotFoundError(f"the dataset has no item {item_id[:100]!r}")
    return item


def _texts(view: View, item: Document[DatasetItem]) -> list[tuple[str, ShownValue]]:
    settings = view.settings

    def shown(value: Any) -> ShownValue:
        text = "" if value is None else msgspec.json.encode(value).decode()
        return shown_value(
            text, chars_max=settings.text_chars_max, nodes_max=settings.json_nodes_max
        )

    return [(name, shown(getattr(item.body, name))) for name in TEXTS]


REGISTERED = (
    Page("/datasets", show_list, title="Datasets", group="improve", place=20),
    Page("/dataset-new", show_new, scope="write"),
    Page("/datasets/{name:path}", show),
)
