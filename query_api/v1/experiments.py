"""Serve ``/v1/experiments/compare``: runs of experiments, item by item and in total."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from producers.documents.kinds.dataset_item import DatasetItem
from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.experiments.comparison import (
    Difference,
    Failed,
    ItemResult,
    Missing,
    RunResults,
    RunSummary,
    ScoreChange,
    differences,
    failed_of,
    missing_of,
    score_changes,
    summary_of,
)
from query_api.experiments.fair_cut import fair_cut
from query_api.experiments.reading import results_of
from query_api.experiments.runs import Run, experiment_named, run_named
from query_api.money import usd_text
from query_api.openapi.experiment_examples import COMPARISON_EXAMPLE
from query_api.responses import json_response
from query_api.v1.dataset_lookup import dataset_named
from query_api.v1.parameters import Name, NativeParameters, native_router

RUNS_MAX: Final = 10

Find = Callable[[str], Awaitable[Run | None]]
"""Find a run by name."""


class CompareParameters(NativeParameters):
    dataset: Name | None = Field(
        None,
        examples=["support/billing"],
        description="Name of the dataset. Without it, `runs` are names or ids of experiments.",
    )
    runs: list[Name] = Field(
        min_length=1,
        max_length=RUNS_MAX,
        examples=["gpt-4o-mini"],
        description="Different names of runs, separated by commas, or repeated. The first is the"
        " baseline.",
    )


class ItemOfRun(msgspec.Struct, kw_only=True):
    trace_id: str
    has_trace: bool
    failed: bool
    cost_usd: str
    unpriced: int
    """Number of observations without a known price; the cost does not include them."""
    latency_ms: float
    tokens: int
    scores: dict[str, float]


class ComparedItem(msgspec.Struct, kw_only=True):
    item_id: str
    runs: dict[str, ItemOfRun]
    """By the names of the runs that have the item."""


class LeftOut(msgspec.Struct, kw_only=True):
    """Entries beyond `experiment_changes_max`. Each run keeps an equal part of a list."""

    regressions: int
    improvements: int
    missing: int
    failed: int


class Comparison(msgspec.Struct, kw_only=True):
    dataset: str | None
    runs: list[RunSummary]
    differences: list[Difference]
    """Each run compared with the first."""
    regressions: list[ScoreChange]
    """Scores that are lower than in the first run, the largest change first."""
    improvements: list[ScoreChange]
    missing: list[Missing]
    failed: list[Failed]
    items: list[ComparedItem]
    truncated: bool
    """Whether entries of a list are left out."""
    left_out: LeftOut


def experiments_router(context: AppContext) -> APIRouter:
    """Return the route."""
    router = native_router("experiments")
    response = context.documented.response(Comparison, "The comparison.", COMPARISON_EXAMPLE)

    @router.get(
        "/v1/experiments/compare", summary="Compare runs of a dataset", responses={200: response}
    )
    async def compare(
        project_id: ProjectId, parameters: Annotated[CompareParameters, Query()]
    ) -> Response:
        """Compare the scores, cost, latency and tokens of runs on the same items.

        Differences are means of paired differences with 95 % confidence intervals (Student's t).
        Scores are numeric or boolean; several of one name count with their
        mean. Higher values are better.
        """
        return json_response(await compare_runs(context, project_id, parameters))

    return router


async def compare_runs(
    context: AppContext, project_id: str, parameters: CompareParameters
) -> Comparison:
    """Compare runs of a dataset, or experiments.

    Raises:
        NotFoundError: there is no such dataset or run.
        BadRequestError: there are too many runs, or one of them twice.
        TooManyError: a run has too many items.
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    find, item_ids = await _data(context, project_id, parameters.dataset)
    runs = []
    for name in await _names(parameters.runs, find):
        run = await find(name)
        if run is None:
            has_none = "the dataset has no run" if parameters.dataset else "no experiment"
            raise NotFoundError(f"{has_none} {name[:100]!r}")
        runs.append(await results_of(context, run))
    limit = context.settings.experiment_changes_max
    return _comparison(parameters.dataset, runs, item_ids, limit)


async def _data(
    context: AppContext, project_id: str, dataset_name: str | None
) -> tuple[Find, list[str]]:
    """Return how runs are found by name, and the ids of the items of the dataset.

    Raises:
        NotFoundError: there is no such dataset.
    """
    if dataset_name is None:
        return (lambda name: experiment_named(context, project_id, name)), []
    dataset = await dataset_named(context.documents, project_id, dataset_name)
    items = await context.documents.all(DatasetItem, project_id, parent=dataset.id, status="ACTIVE")
    return (lambda name: run_named(context, dataset, name)), [each.id for each in reversed(items)]


async def _names(given: list[str], find: Find) -> list[str]:
    """Return the names of a parameter; a run whose own name has commas is found, too."""
    names = given
    if len(given) == 1 and "," in given[0] and await find(given[0]) is None:
        names = [each for each in given[0].split(",") if each]
    if not 1 <= len(names) <= RUNS_MAX:
        raise BadRequestError(f"runs: 1 to {RUNS_MAX} names of runs", field="runs")
    if len(set(names)) != len(names):
        raise BadRequestError("runs: must be different from each other", field="runs")
    return names


def _comparison(
    dataset: str | None, runs: list[RunResults], item_ids: list[str], limit: int
) -> Comparison:
    baseline, *others = runs
    changes = [score_changes(baseline, run) for run in others]
    of_runs: dict[str, Sequence[Sequence[Any]]] = {
        "regressions": [[e for e in found if e.after < e.before] for found in changes],
        "improvements": [[e for e in found if e.after > e.before] for found in changes],
        "missing": [missing_of(run, item_ids) for run in runs],
        "failed": [failed_of(run) for run in runs],
    }
    kept = {name: fair_cut(lists, limit) for name, lists in of_runs.items()}
    for name in ("regressions", "improvements"):
        kept[name].sort(key=lambda each: -abs(each.after - each.before))
    left_out = {name: sum(map(len, lists)) - len(kept[name]) for name, lists in of_runs.items()}
    truncated = any(left_out.values())
    if truncated:
        metrics.LIMITS_REACHED.labels("experiment_changes_max").inc()
    known = dict.fromkeys([*item_ids, *(each for run in runs for each in run.items)])
    return Comparison(
        dataset=dataset,
        runs=[summary_of(each) for each in runs],
        differences=[each for run in others for each in differences(baseline, run)],
        items=[
            ComparedItem(
                item_id=each,
                runs={run.name: _shown(run.items[each]) for run in runs if each in run.items},
            )
            for each in known
        ],
        truncated=truncated,
        left_out=LeftOut(**left_out),
        **kept,
    )


def _shown(result: ItemResult) -> ItemOfRun:
    return ItemOfRun(
        trace_id=result.trace_id,
        has_trace=result.has_trace,
        failed=result.failed,
        cost_usd=usd_text(result.cost_pico),
        unpriced=result.unpriced,
        latency_ms=result.latency_ms,
        tokens=result.tokens,
        scores=dict(result.scores),
    )
