"""Add traces of a list to a dataset, as items."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from query_api.console.dataset_targets import checked_body, dataset_for_items
from query_api.console.form_bodies import FormError
from query_api.console.page import Action, View
from query_api.console.pages.datasets import dataset_path
from query_api.console.pages.traces import show_list
from query_api.console.responses import see_other
from query_api.errors import BadRequestError, NotFoundError
from query_api.json_texts import shown
from query_api.langfuse.dataset_bodies import DatasetItemBody
from query_api.langfuse.dataset_items import put_item
from query_api.store.rows import TRACE_DETAIL, StoredTrace
from query_api.store.trace_reading import fill_io_from_root_observation, read_traces

TRACES_MAX: Final = 50
"""Maximum number of traces of a form; a page of the list has as many."""
CHOSEN: Final = "trace."
"""What the names of fields with chosen traces begin with."""


async def add_traces(view: View) -> Response:
    """Create an item of each chosen trace, and the dataset if there is none with its name.

    If no trace is chosen, all that the page has shown are added. A trace that is added once more
    changes its item.
    """
    name = view.form.get("dataset", "").strip()
    documents, project_id = view.context.documents, view.project_id
    traces = await read_traces(view.context.reader, project_id, _trace_ids(view.form), TRACE_DETAIL)
    if not traces:
        raise NotFoundError("none of the chosen traces exists")
    await fill_io_from_root_observation(view.context.reader, list(traces.values()))
    try:
        dataset = await dataset_for_items(documents, project_id, name)
    except FormError as error:
        # The address is that of the list, so its links work here, too.
        return await show_list(
            view, status=422, dataset=name, faults=error.faults, chosen=chosen_ids(view.form)
        )
    bodies = [_item(name, dataset.id, each) for each in traces.values()]
    await asyncio.gather(*(put_item(documents, project_id, each) for each in bodies))
    return see_other(dataset_path(view, name))


def chosen_ids(form: Mapping[str, str]) -> list[str]:
    """Return the ids of the traces that were chosen in a list, in the order of the list."""
    return [value for field, value in form.items() if field.startswith(CHOSEN)]


def _trace_ids(form: Mapping[str, str]) -> list[str]:
    try:
        ids = chosen_ids(form) or msgspec.json.decode(form.get("shown", ""), type=list[str])
    except msgspec.DecodeError as error:
        raise BadRequestError("choose at least one trace", field=f"{CHOSEN}0") from error
    if len(ids) > TRACES_MAX:
        raise BadRequestError(f"choose at most {TRACES_MAX} traces", field=f"{CHOSEN}0")
    return ids


def _item(name: str, dataset_id: str, trace: StoredTrace) -> DatasetItemBody:
    # Derived from the dataset and the trace, so that adding it again creates no second item.
    id_ = hashlib.sha256(msgspec.json.encode([dataset_id, trace.id])).hexdigest()[:32]
    return checked_body(
        DatasetItemBody,
        datasetName=name,
        id=id_,
        input=_value(trace.input),
        expectedOutput=_value(trace.output),
        sourceTraceId=trace.id,
    )


def _value(text: str) -> Any:
    value = shown(text)
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


REGISTERED = (Action("/traces", add_traces),)
