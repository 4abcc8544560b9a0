"""Compare runs of a dataset: in total, and side by side for each item."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from query_api.console.experiment_rows import FILTERS, by_measure, item_rows, selection_of
from query_api.console.form_faults import body_with_field_faults
from query_api.console.page import Page, View
from query_api.console.pages.datasets import dataset_path
from query_api.console.record_lists import page_number
from query_api.errors import BadRequestError
from query_api.money import pico_of
from query_api.times import MILLISECOND_US
from query_api.v1.experiments import RUNS_MAX, CompareParameters, compare_runs

ITEMS: Final = 20
SCORE_DIGITS: Final = 3


async def show(view: View) -> Response:
    """Show a comparison of the runs that the query string names, the first as the baseline."""
    names = list(dict.fromkeys(filter(None, view.request.query_params.getlist("runs"))))
    if view.parameter("newest_first"):
        names.reverse()  # the earliest is the baseline
    dataset = view.parameter("dataset")
    only = view.parameter("only") or FILTERS[0]
    score = view.parameter("score")
    if only not in FILTERS:
        raise BadRequestError(f"only: must be one of {', '.join(FILTERS)}", field="only")
    if not 1 <= len(names) <= RUNS_MAX:
        raise BadRequestError(f"runs: choose 1 to {RUNS_MAX} runs", field="runs")
    parameters = body_with_field_faults(
        CompareParameters, {"dataset": dataset or None, "runs": names}
    )
    comparison = await compare_runs(view.context, view.project_id, parameters)
    selection = selection_of(comparison, score)
    page, ids = page_number(view), selection.ids[only]
    shown = ids[(page - 1) * ITEMS : page * ITEMS]
    rows = await item_rows(view.context, view.project_id, comparison, selection, shown)
    worst = next((e for e in comparison.regressions if not score or e.score == score), None)

    def url(**changed: object) -> str:
        """Return the query string with some parameters changed; empty ones are left out."""
        given = {"dataset": dataset, "runs": names, "only": only, "score": score} | changed
        if given["only"] == FILTERS[0]:
            given["only"] = ""
        return f"?{urlencode({name: each for name, each in given.items() if each}, doseq=True)}"

    formats = view.formats

    def ms_of(value: float | None) -> str:
        sign = "-" if value is not None and value < 0 else ""
        return sign + formats.duration(None if value is None else abs(value) * MILLISECOND_US)

    return view.render(
        "experiment.html",
        comparison=comparison,
        names=names,
        dataset=dataset,
        may_write=view.may("write"),
        dataset_path=dataset_path(view, dataset) if dataset else "",
        item_path=lambda item_id: dataset_path(view, dataset, item=item_id) if dataset else "",
        trace_path=lambda trace_id: view.path("traces", trace_id),
        differences=by_measure(comparison.differences),
        scores=sorted({name for run in comparison.runs for name in run.scores}),
        counts={name: len(selection.ids[name]) for name in FILTERS},
        worst=worst,
        unpriced={
            name: sum(e.runs[name].unpriced for e in comparison.items if name in e.runs)
            for name in names
        },
        results={each.item_id: each.runs for each in comparison.items},
        only=only,
        score=score,
        rows=rows,
        url=url,
        pico_of=pico_of,
        usd_of=lambda amount: formats.usd(pico_of(amount)),
        ms_of=ms_of,
        number_of=lambda value: formats.number(round(value, SCORE_DIGITS)),
        is_first=page == 1,
        following=url(page=page + 1) if len(ids) > page * ITEMS else "",
    )


REGISTERED = (Page("/experiments", show),)
