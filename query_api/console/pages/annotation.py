"""Score traces or observations one after the other, with the keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from query_api.console.annotation import (
    KEYS_MAX,
    SOURCE,
    Given,
    configs_of_queue,
    scores_of,
)
from query_api.console.annotation_queue import LISTS, LOOKED_AT, LOOKS_MAX, Subject, next_subject
from query_api.console.form_bodies import FormError
from query_api.console.listing import Listing, values_of_list
from query_api.console.page import Action, Page, View
from query_api.console.responses import see_other
from query_api.console.sent_scores import send_scores
from query_api.console.shown_values import ShownValue, shown_value
from query_api.langfuse.score_configs import configs_of
from query_api.store.columns import SCORE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.scores import NOT_CORRECTIONS, FindScores
from query_api.store.rows import StoredScore

SCORES_MAX: Final = 100
"""Existing scores of a trace that are read."""
TEXTS: Final = ("input", "output")
OBSERVATIONS: Final = "observations"


async def show(view: View) -> Response:
    """Show the next row of a search, and the score configs to score it by."""
    return await _show(view, {}, {}, 200)


async def save(view: View) -> Response:
    """Send the scores of a trace or observation, and go on to the next one."""
    view.session.principal.require("read")  # a refused form is shown with the trace
    trace_id, author = view.form.get("trace", ""), view.session.principal.public_key
    configs = configs_of_queue(configs_of(view.context, view.project_id), _chosen(view))
    try:
        scores = scores_of(view.form, configs, trace_id, author, view.form.get("observation", ""))
    except FormError as error:
        return await _show(view, view.form, error.faults, 422)
    if scores:
        await send_scores(view, scores)
    following = view.form.get("following", "")
    is_query = following.startswith("?") and following.isascii() and following.isprintable()
    return see_other(f"{view.path('annotation')}{following if is_query else ''}")


async def _show(
    view: View, form: Mapping[str, str], faults: Mapping[str, str], status: int
) -> Response:
    of_observations = view.parameter("of") == OBSERVATIONS
    only_unscored = bool(view.parameter("unscored"))

    async def following(view: View, listing: Listing) -> tuple[list[Subject], str]:
        return await next_subject(
            view, listing, of_observations=of_observations, only_unscored=only_unscored
        )

    values = await values_of_list(view, LISTS[of_observations], following)
    subject = values["rows"][0] if values["rows"] else None
    configs = configs_of_queue(configs_of(view.context, view.project_id), _chosen(view))
    scores = await _scores(view, subject) if subject else []
    query = view.request.scope.get("query_string", b"").decode("latin-1")
    kept = _kept(view)
    values |= {
        "status": values["status"] if values["fault"] else status,
        "following": values["following"] and values["following"] + _as_end(kept),
    }
    return view.render(
        "annotation.html",
        **values,
        kept=kept,
        kept_query=_as_end(kept),
        links=_links(view, values["listing"]),
        of_observations=of_observations,
        only_unscored=only_unscored,
        looked_at=LOOKED_AT * LOOKS_MAX,
        faults=faults,
        subject=subject,
        texts=_texts(view, subject) if subject else [],
        scores=[each for each in scores if each.source != SOURCE],
        given=_given(view, configs, scores, form),
        comment=form.get("comment") or next((e.comment for e in scores if _is_own(view, e)), ""),
        keys_max=KEYS_MAX,
        here=f"?{query}" if query else "",
        may_annotate=view.may("scores"),
        may_configure=view.may("write"),
    )


async def _scores(view: View, subject: Subject) -> list[StoredScore]:
    """Return the scores of a row; those of a trace are without those of its observations."""
    conditions = (
        Condition(SCORE_COLUMNS["traceId"], "eq", subject.trace_id),
        Condition(SCORE_COLUMNS["observationId"], "eq", subject.observation_id),
        NOT_CORRECTIONS,
    )
    query = FindScores(view.project_id, conditions, SCORES_MAX)
    return await view.context.reader.rows(query, StoredScore)


def _given(
    view: View, configs: list[Any], scores: list[StoredScore], form: Mapping[str, str]
) -> list[Given]:
    """Return the fields of the form with what the viewer has entered, or has given before."""
    own = {each.config_id: each for each in reversed(scores) if _is_own(view, each)}
    found = []
    for key, config in enumerate(configs, 1):
        held = own.get(config.id)
        value = form.get(f"score.{config.id}", "")
        if not value and held is not None:
            value = held.string_value if config.data_type in {"CATEGORICAL", "TEXT"} else ""
            if not value and held.value is not None:
                value = f"{held.value:g}"
        found.append(Given(config, key, value, "" if held is None else held.comment))
    return found


def _is_own(view: View, score: StoredScore) -> bool:
    return score.source == SOURCE and score.author_user_id == view.session.principal.public_key


def _texts(view: View, subject: Subject) -> list[tuple[str, ShownValue]]:
    settings = view.settings
    return [
        (
            name,
            shown_value(
                getattr(subject.row, name),
                chars_max=settings.text_chars_max,
                nodes_max=settings.json_nodes_max,
            ),
        )
        for name in TEXTS
    ]


def _chosen(view: View) -> list[str]:
    return view.request.query_params.getlist("config")[:KEYS_MAX]


def _kept(view: View, **changed: str) -> list[tuple[str, str]]:
    """Return the parameters of the queue that are not those of a list."""
    given = {
        "of": OBSERVATIONS if view.parameter("of") == OBSERVATIONS else "",
        "unscored": "1" if view.parameter("unscored") else "",
    } | changed
    found = [(name, each) for name, each in given.items() if each]
    return found + [("config", each) for each in _chosen(view)]


def _as_end(parameters: list[tuple[str, str]]) -> str:
    """Return parameters as the end of a query string."""
    return f"&{urlencode(parameters)}" if parameters else ""


def _links(view: View, listing: Listing) -> dict[str, str]:
    """Return the query strings of other queues. A search of the other kind is not kept."""
    return {
        "traces": f"?{urlencode(_kept(view, of=''))}",
        OBSERVATIONS: f"?{urlencode(_kept(view, of=OBSERVATIONS))}",
        "all": listing.url() + _as_end(_kept(view, unscored="")),
        "unscored": listing.url() + _as_end(_kept(view, unscored="1")),
    }


REGISTERED = (
    Page("/annotation", show, title="Annotation", group="improve", place=40),
    Action("/annotation-scores", save, scope="scores"),
)
