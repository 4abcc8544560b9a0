"""List scores with the distribution of their values, and manage score configs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from producers.console_paths import project_path
from query_api.console.annotation import allowed_of
from query_api.console.form_bodies import Faults, lines_of, pairs_of
from query_api.console.form_faults import (
    REFUSALS,
    body_with_field_faults,
    faults_of,
    number_of,
    status_of,
)
from query_api.console.listing import ROWS, Listing, ListKind, RowPosition, values_of_list
from query_api.console.page import Action, Page, View
from query_api.console.responses import see_other
from query_api.console.score_data import SCORE_SEARCH, Distribution, read_distributions
from query_api.langfuse.score_config_bodies import ScoreConfigBody, ScoreConfigChangeBody
from query_api.langfuse.score_configs import change_config, configs_of, create_config
from query_api.store.columns import SCORE_COLUMNS
from query_api.store.queries.scores import FindScores
from query_api.store.rows import StoredScore

LIST: Final = ListKind(SCORE_SEARCH, ("timestamp",))
DATA_TYPES: Final = ("NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT")


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """A score as the list shows it; ``path`` leads to what is scored."""

    score: StoredScore
    path: str
    target: str
    kind: str
    """What is scored: ``trace``, ``observation``, ``session`` or ``run``."""


async def show(view: View) -> Response:
    """Show a page of scores, the newest first, and how their values are distributed."""
    distributions: list[Distribution] = []

    async def read(view: View, listing: Listing) -> tuple[list[ScoreLine], str]:
        page, found = await _read(view, listing)
        distributions.extend(found)
        return page

    values = await values_of_list(view, LIST, read)
    return view.render(
        "scores.html", **values, distributions=distributions, may_annotate=view.may("scores")
    )


async def show_configs(view: View) -> Response:
    """Show the score configs of the project, and the form of a new one."""
    return _configs(view, {}, {})


async def create(view: View) -> Response:
    """Create a score config; a refused one is shown with the faults."""
    try:
        body = body_with_field_faults(ScoreConfigBody, _values(view))
        await create_config(view.context, view.project_id, body)
    except REFUSALS as error:
        return _configs(view, dict(view.form), faults_of(error), status_of(error))
    return see_other(view.path("score-configs"))


async def archive(view: View) -> Response:
    """Archive a score config, or restore it."""
    body = ScoreConfigChangeBody.model_validate({"isArchived": bool(view.form.get("archived"))})
    await change_config(view.context, view.project_id, view.form.get("config", ""), body)
    return see_other(view.path("score-configs"))


async def _read(
    view: View, listing: Listing
) -> tuple[tuple[list[ScoreLine], str], list[Distribution]]:
    position = listing.position
    conditions = (
        *listing.in_range(SCORE_COLUMNS["timestamp"]),
        *SCORE_SEARCH.conditions_of(listing.search),
    )
    query = FindScores(
        view.project_id,
        conditions,
        ROWS + 1,
        below=(position.at_us, position.id) if position else None,
    )
    found, distributions = await asyncio.gather(
        view.context.reader.rows(query, StoredScore),
        read_distributions(view.context, view.project_id, conditions),
    )
    rows, following = found[:ROWS], ""
    if len(found) > ROWS:
        following = listing.after(RowPosition(rows[-1].event_us, rows[-1].id))
    return ([_line(each) for each in rows], following), distributions


def _line(score: StoredScore) -> ScoreLine:
    if score.trace_id:
        path = project_path(score.project_id, "traces", score.trace_id)
        if score.observation_id:
            path += f"?observation={quote(score.observation_id, safe='')}"
            return ScoreLine(score, path, score.observation_id, "observation")
        return ScoreLine(score, path, score.trace_id, "trace")
    if score.session_id:
        path = project_path(score.project_id, "sessions", score.session_id)
        return ScoreLine(score, path, score.session_id, "session")
    path = project_path(score.project_id, "experiments")
    path += f"?{urlencode({'runs': score.dataset_run_id})}"
    return ScoreLine(score, path, score.dataset_run_id, "run")


def _configs(view: View, values: dict[str, str], faults: Faults, status: int = 200) -> Response:
    configs = configs_of(view.context, view.project_id)
    return view.render(
        "score_configs.html",
        status=status,
        configs=sorted(configs, key=lambda each: each.is_archived),
        allowed_of=allowed_of,
        values={"data_type": DATA_TYPES[0], **values},
        faults=faults,
        types=DATA_TYPES,
        may_write=view.may("write"),
    )


def _values(view: View) -> dict[str, Any]:
    """Return the fields of the body of a new config.

    Raises:
        FormError: a number is not one, or a line of categories is invalid.
    """
    form = view.form
    given: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "dataType": form.get("data_type", ""),
        "description": form.get("description", "").strip() or None,
    }
    for name, field in (("min_value", "minValue"), ("max_value", "maxValue")):
        text = form.get(name, "").strip()
        if text and given["dataType"] == "NUMERIC":
            given[field] = number_of(text, name)
    if given["dataType"] == "CATEGORICAL":
        given["categories"] = _categories(form.get("categories", ""))
    return given


def _categories(text: str) -> list[dict[str, Any]]:
    """Return categories from lines such as `friendly = 1`, or from labels, which are numbered."""
    if "=" in text:
        pairs = pairs_of(text, "categories")
        return [
            {"label": label, "value": number_of(value, "categories")}
            for label, value in pairs.items()
        ]
    lines = lines_of(text, "categories")
    return [{"label": label, "value": float(number)} for number, label in enumerate(lines)]


REGISTERED = (
    Page("/scores", show, title="Scores", group="improve", place=30),
    Page("/score-configs", show_configs),
    Action("/score-config-creations", create),
    Action("/score-config-states", archive),
)
