"""Score traces one after the other, with the keyboard."""

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
from query_api.console.form_bodies import FormError
from query_api.console.listing import Listing, ListKind, RowPosition, values_of_list
from query_api.console.page import Action, Page, View
from query_api.console.responses import see_other
from query_api.console.sent_scores import send_scores
from query_api.console.shown_values import ShownValue, shown_value
from query_api.console.trace_search import TRACE_SEARCH
from query_api.langfuse.score_configs import configs_of
from query_api.store.columns import SCORE_COLUMNS, TRACE_COLUMNS, TRACE_ORDER
from query_api.store.conditions import Condition
from query_api.store.newest import find_newest
from query_api.store.queries.scores import NOT_CORRECTIONS, FindScores
from query_api.store.queries.traces import FindTraces
from query_api.store.rows import TRACE_DETAIL, StoredScore, StoredTrace
from query_api.store.trace_reading import IdOfTrace, fill_io_from_root_observation, read_traces
from tracemill.clock import now_us

LIST: Final = ListKind(TRACE_SEARCH, ("timestamp",))
SCORES_MAX: Final = 100
"""Existing scores of a trace that are read."""
TEXTS: Final = ("input", "output")


async def show(view: View) -> Response:
    """Show the next trace of a search, and the score configs to score it by."""
    return await _show(view, {}, {}, 200)


async def save(view: View) -> Response:
    """Send the scores of a trace, and go on to the next one."""
    view.session.principal.require("read")  # a refused form is shown with the trace
    trace_id, author = view.form.get("trace", ""), view.session.principal.public_key
    configs = configs_of_queue(configs_of(view.context, view.project_id), _chosen(view))
    try:
        scores = scores_of(view.form, configs, trace_id, author)
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
    values = await values_of_list(view, LIST, _next)
    trace = values["rows"][0] if values["rows"] else None
    configs = configs_of_queue(configs_of(view.context, view.project_id), _chosen(view))
    scores = await _scores(view, trace) if trace else []
    query = view.request.scope.get("query_string", b"").decode("latin-1")
    values |= {
        "status": values["status"] if values["fault"] else status,
        "following": values["following"] and values["following"] + _configs_query(view),
    }
    return view.render(
        "annotation.html",
        **values,
        chosen=_chosen(view),
        faults=faults,
        trace=trace,
        texts=_texts(view, trace) if trace else [],
        scores=[each for each in scores if each.source != SOURCE],
        given=_given(view, configs, scores, form),
        comment=form.get("comment") or next((e.comment for e in scores if _is_own(view, e)), ""),
        keys_max=KEYS_MAX,
        here=f"?{query}" if query else "",
        may_annotate=view.may("scores"),
        may_configure=view.may("write"),
    )


async def _next(view: View, listing: Listing) -> tuple[list[StoredTrace], str]:
    """Return the next trace, and the query string of the one after it; empty if it is the last."""
    reader, position = view.context.reader, listing.position
    query = FindTraces(
        view.project_id,
        (
            *listing.in_range(TRACE_COLUMNS["timestamp"]),
            *TRACE_SEARCH.conditions_of(listing.search),
        ),
        TRACE_ORDER["timestamp"],
        True,
        2,
        after=(position.at_us, position.id) if position else None,
    )
    newest_us = position.at_us if position else listing.range.to_us or now_us()
    found = await find_newest(
        reader, query, IdOfTrace, from_us=listing.range.from_us, newest_us=newest_us
    )
    if not found:
        return [], ""
    traces = await read_traces(reader, view.project_id, [found[0].id], TRACE_DETAIL)
    trace = traces.get(found[0].id)
    if trace is None:
        return [], ""
    await fill_io_from_root_observation(reader, [trace])
    has_more = len(found) > 1
    return [trace], listing.after(RowPosition(trace.start_us, trace.id)) if has_more else ""


async def _scores(view: View, trace: StoredTrace) -> list[StoredScore]:
    of_trace = Condition(SCORE_COLUMNS["traceId"], "eq", trace.id)
    query = FindScores(view.project_id, (of_trace, NOT_CORRECTIONS), SCORES_MAX)
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


def _texts(view: View, trace: StoredTrace) -> list[tuple[str, ShownValue]]:
    settings = view.settings
    return [
        (
            name,
            shown_value(
                getattr(trace, name),
                chars_max=settings.text_chars_max,
                nodes_max=settings.json_nodes_max,
            ),
        )
        for name in TEXTS
    ]


def _chosen(view: View) -> list[str]:
    return view.request.query_params.getlist("config")[:KEYS_MAX]


def _configs_query(view: View) -> str:
    """Return the chosen configs as the end of a query string."""
    chosen = _chosen(view)
    return f"&{urlencode({'config': chosen}, doseq=True)}" if chosen else ""


REGISTERED = (
    Page("/annotation", show, title="Annotation", group="improve", place=40),
    Action("/annotation-scores", save, scope="scores"),
)
