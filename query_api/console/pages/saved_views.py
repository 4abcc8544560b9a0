"""Save views of pages under names, and list, rename and delete them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from producers.documents.kinds.saved_view import SavedView, saved_view_id
from query_api.console.form_bodies import Faults, body_of
from query_api.console.form_faults import REFUSALS, faults_of, status_of
from query_api.console.page import Action, Page, View
from query_api.console.page_queries import PAGE_QUERIES
from query_api.console.record_lists import page_number
from query_api.console.responses import see_other
from query_api.errors import BadRequestError
from query_api.v1.document_crud import delete_document, found_document
from query_api.v1.saved_views import SavedViewBody, create_view, replace_view

ROWS: Final = 100
PAGES: Final = tuple(PAGE_QUERIES)


async def show(view: View) -> Response:
    """Show the views of a page; the menu of the page shows them as a part."""
    page, query = view.parameter("page") or PAGES[0], view.parameter("query")
    return await _show(view, page, {"query": query})


async def create(view: View) -> Response:
    """Save the view of a form; if that was chosen, over the view that has the name."""
    form = view.form
    page = form.get("page", "")
    given = {name: form.get(name, "") for name in ("page", "name", "query")}
    try:
        body = body_of(SavedViewBody, given)
        if form.get("replaces"):
            id_ = saved_view_id(view.project_id, body.page, body.name.strip())
            saved = await replace_view(view.context, view.project_id, id_, body)
        else:
            author = view.session.principal.public_key
            saved = await create_view(view.context, view.project_id, body, author)
    except REFUSALS as error:
        return await _show(view, page, form, faults_of(error), status_of(error))
    return see_other(address_of(view, saved.body))


async def rename(view: View) -> Response:
    """Give a view another name."""
    id_ = view.request.path_params["view_id"]
    held = await found_document(view.context, SavedView, view.project_id, id_)
    given = {"page": held.body.page, "query": held.body.query, "name": view.form.get("name", "")}
    try:
        body = body_of(SavedViewBody, given)
        await replace_view(view.context, view.project_id, id_, body)
    except REFUSALS as error:
        form = {**view.form, "renamed": id_}
        return await _show(view, held.body.page, form, faults_of(error), status_of(error))
    return see_other(_list_path(view, held.body.page))


async def delete(view: View) -> Response:
    """Delete a view."""
    id_ = view.request.path_params["view_id"]
    held = await found_document(view.context, SavedView, view.project_id, id_)
    await delete_document(view.context, SavedView, view.project_id, id_, None)
    return see_other(_list_path(view, held.body.page))


def address_of(view: View, saved: SavedView) -> str:
    """Return the address of the page that a view shows."""
    return f"{view.path(saved.page)}?{saved.query}"


def _list_path(view: View, page: str) -> str:
    return f"{view.path('views')}?{urlencode({'page': page})}"


async def _show(
    view: View, page: str, form: Mapping[str, str], faults: Faults | None = None, status: int = 200
) -> Response:
    if page not in PAGE_QUERIES:
        allowed = ", ".join(PAGES)
        raise BadRequestError(f"page: {page[:64]!r} is not one of {allowed}", field="page")
    at = page_number(view, "at")
    found, total = await view.context.documents.page(
        SavedView, view.project_id, offset=(at - 1) * ROWS, limit=ROWS, parent=page
    )
    return view.render(
        "views_part.html" if view.is_part else "views.html",
        status=status,
        page=page,
        pages=PAGES,
        rows=sorted(found, key=lambda each: each.body.name.casefold()),
        is_first=at == 1,
        following=f"{_list_path(view, page)}&at={at + 1}" if total > at * ROWS else "",
        first=_list_path(view, page),
        form=form,
        faults=faults or {},
        current=_canonical(view, page, form.get("query", "")),
        address_of=lambda saved: address_of(view, saved),
        may_write=view.may("write"),
    )


def _canonical(view: View, page: str, query: str) -> str | None:
    """Return the query that would be saved; None if it is not valid."""
    try:
        return PAGE_QUERIES[page](query, view.context.settings)
    except BadRequestError:
        return None


REGISTERED = (
    Page("/views", show),
    Action("/views", create),
    Action("/views/{view_id}/rename", rename),
    Action("/views/{view_id}/delete", delete),
)
