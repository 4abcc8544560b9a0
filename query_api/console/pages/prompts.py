"""List the prompts of a project by folder, with their labels and what they cost."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from query_api.console.page import Page, View
from query_api.console.prompt_data import (
    ORDERS,
    USE_DAYS,
    Choice,
    PromptRow,
    Use,
    chosen,
    use_of,
)
from query_api.console.record_lists import page_number
from query_api.console.search import term
from query_api.errors import BadRequestError

ROWS: Final = 50
TEXT_CHARS_MAX: Final = 300


async def show(view: View) -> Response:
    """Show the prompts of a folder, or those that meet the search, in all folders."""
    names = ("folder", "q", "tag", "label")
    given = {name: view.parameter(name)[:TEXT_CHARS_MAX] for name in names}
    choice = Choice(given["folder"].strip("/"), given["q"], given["tag"], given["label"])
    order = view.parameter("order") or ORDERS[0]
    if order not in ORDERS:
        raise BadRequestError(f"order: must be one of {', '.join(ORDERS)}", field="order")
    page = page_number(view)
    everything = list(view.context.prompts.prompts(view.project_id))
    folders, prompts = chosen(everything, choice)
    if order == "updated":
        folders.sort(key=lambda each: each.updated_us, reverse=True)
        prompts.sort(key=lambda each: each.updated_us, reverse=True)
    shown = prompts[(page - 1) * ROWS : page * ROWS]
    use = await use_of(view.context, view.project_id, [each.name for each in shown])
    beginning = f"{choice.folder}/" if choice.folder and not choice.is_filtered else ""
    rows = [
        PromptRow(each, each.name.removeprefix(beginning), use.get(each.name, Use()))
        for each in shown
    ]

    def url(**changed: str) -> str:
        """Return the query string with some parameters changed; empty ones are left out."""
        wanted = {**given, "order": "" if order == ORDERS[0] else order} | changed
        return f"?{urlencode({name: each for name, each in wanted.items() if each})}"

    def calls(name: str) -> str:
        """Return the query string of the calls that used a prompt."""
        return f"?{urlencode({'range': f'{USE_DAYS}d', 'q': term('prompt', name)})}"

    return view.render(
        "prompts.html",
        choice=choice,
        folders=folders if page == 1 else [],
        rows=rows,
        order=order,
        url=url,
        calls=calls,
        path_of=lambda name: prompt_path(view, name),
        parents=_parents(choice.folder),
        use_days=USE_DAYS,
        is_new=not everything,
        may_write=view.may("write"),
        is_first=page == 1,
        following=url(page=str(page + 1)) if len(prompts) > page * ROWS else "",
    )


def prompt_path(view: View, name: str, /, **parameters: object) -> str:
    """Return the path of the page of a prompt."""
    path = view.path("prompts", name)
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _parents(folder: str) -> list[tuple[str, str]]:
    """Return the titles and paths of a folder and of those that contain it."""
    parts = folder.split("/") if folder else []
    return [(part, "/".join(parts[: index + 1])) for index, part in enumerate(parts)]


REGISTERED = (Page("/prompts", show, title="Prompts", group="improve", place=10),)
