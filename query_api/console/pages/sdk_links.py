"""Redirect the links to experiments that Langfuse's SDKs print."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_run import DatasetRun
from query_api.console.page import Page, View
from query_api.console.responses import see_other
from query_api.errors import BadRequestError


async def open_results(view: View) -> Response:
    """Redirect ``/experiments/results?baseline=ID`` to the comparison of this experiment."""
    baseline = view.parameter("baseline")
    if not baseline:
        raise BadRequestError("baseline: the id of an experiment", field="baseline")
    return see_other(f"{view.path('experiments')}?{urlencode({'runs': baseline})}")


async def run_of_link(view: View, path: str) -> Response | None:
    """Redirect ``DATASET_ID/runs/RUN_ID`` to the comparison of this run; None if there is none."""
    dataset_id, _, run_id = path.rpartition("/runs/")
    if not dataset_id or not run_id:
        return None
    documents = view.context.documents
    dataset = await documents.get(Dataset, view.project_id, dataset_id)
    run = await documents.get(DatasetRun, view.project_id, run_id)
    if dataset is None or run is None:
        return None
    names = {"dataset": dataset.body.name, "runs": run.body.name}
    return see_other(f"{view.path('experiments')}?{urlencode(names)}")


REGISTERED = (Page("/experiments/results", open_results),)
