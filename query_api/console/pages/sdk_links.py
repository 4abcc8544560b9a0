"""Redirect links that Langfuse's SDKs print, and those of its pages of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.responses import Response

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_run import DatasetRun
from query_api.console.page import Page, View
from query_api.console.responses import see_other
from query_api.errors import BadRequestError
from query_api.v1.experiments import RUNS_MAX


async def open_results(view: View) -> Response:
    """Redirect ``/experiments/results?baseline=ID`` to the comparison of this experiment."""
    baseline = view.parameter("baseline")
    if not baseline:
        raise BadRequestError("baseline: the id of an experiment", field="baseline")
    return see_other(f"{view.path('experiments')}?{urlencode({'runs': baseline})}")


async def page_of_link(view: View, path: str) -> Response | None:
    """Redirect a link of Langfuse, which has the id of a dataset, to the page that is meant.

    The path is ``DATASET_ID``, ``DATASET_ID/items``, ``DATASET_ID/items/ITEM_ID``,
    ``DATASET_ID/runs``, ``DATASET_ID/runs/RUN_ID`` or ``DATASET_ID/compare``, with the ids of runs
    in the parameters ``runs``. None: the project has no such dataset or run.
    """
    dataset_id, _, rest = path.partition("/")
    part, _, part_id = rest.partition("/")
    documents = view.context.documents
    dataset = await documents.get(Dataset, view.project_id, dataset_id)
    if dataset is None or part not in {"", "items", "runs", "compare"}:
        return None
    page = view.path("datasets", dataset.body.name)
    match part, part_id:
        case ("runs", run_id) if run_id:
            return await _comparison(view, dataset.body.name, [run_id])
        case ("compare", ""):
            run_ids = view.request.query_params.getlist("runs")[:RUNS_MAX]
            return await _comparison(view, dataset.body.name, run_ids)
        case ("items", item_id) if item_id:
            return see_other(f"{page}?{urlencode({'item': item_id})}")
    return see_other(f"{page}?tab=runs" if part == "runs" else page)


async def _comparison(view: View, name: str, run_ids: Sequence[str]) -> Response | None:
    """Redirect to the comparison of runs; None if there is none of them."""
    documents = view.context.documents
    found = [await documents.get(DatasetRun, view.project_id, each) for each in run_ids]
    runs = [each.body.name for each in found if each is not None]
    if not runs:
        return None
    query = urlencode([("dataset", name), *(("runs", each) for each in runs)])
    return see_other(f"{view.path('experiments')}?{query}")


REGISTERED = (Page("/experiments/results", open_results),)
