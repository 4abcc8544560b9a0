"""Show firing groups, past alerts and episodes, and acknowledge episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from query_api.console.form_bodies import body_of
from query_api.console.metric_values import amount_of_alert, told_of, window_of
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.pages.alert_rules import ACTIVE
from query_api.console.record_lists import following_of, parameters_of
from query_api.console.responses import see_other
from query_api.console.silence_forms import matchers_of
from query_api.errors import BadRequestError
from query_api.store.rows import TRACE_CORE
from query_api.store.trace_reading import read_traces
from query_api.v1.acknowledgements import (
    EPISODE_CHARS_MAX,
    AcknowledgementBody,
    acknowledge_episode,
    withdraw_acknowledgement,
)
from query_api.v1.alerts import AlertParameters, read_alert_states, read_alerts, read_episode

ROWS: Final = 50
TABS: Final = ("now", "history")


async def show_list(view: View) -> Response:
    """Show the groups with a state other than OK, or the alerts of the past."""
    tab = view.parameter("show") or TABS[0]
    if tab not in TABS:
        raise BadRequestError(f"show: must be one of {', '.join(TABS)}", field="show")
    is_now = tab == TABS[0]
    state = ",".join(ACTIVE) if is_now else None
    parameters = parameters_of(view, AlertParameters, limit=ROWS, state=state)
    read = read_alert_states if is_now else read_alerts
    rows, meta = await read(view.context, view.project_id, parameters)
    shown = [optional(each) for each in rows]
    return view.render(
        "alerts.html",
        tab=tab,
        rows=sorted(shown, key=lambda each: ACTIVE.index(each["state"])) if is_now else shown,
        following=following_of(meta, show=tab),
        is_first=not view.parameter("cursor"),
        amount=lambda each, name: amount_of_alert(view.formats, each, name),
        matchers=_matchers,
    )


async def show_episode(view: View) -> Response:
    """Show an episode: its state, its traces, what was reported, and who handles it."""
    found = await read_episode(view.context, view.project_id, _episode_id(view))
    reader = view.context.reader
    traces = await read_traces(reader, view.project_id, found.exemplars, TRACE_CORE)
    episode = optional(found)
    last = episode["current"] or episode["history"][-1]
    return view.render(
        "alert_episode.html",
        episode=episode,
        last=last,
        traces=traces,
        told=told_of,
        window=lambda each: window_of(view.formats, each),
        path=view.path("alerts", episode["episode_id"]),
        amount=lambda each, name: amount_of_alert(view.formats, each, name),
        matchers=_matchers(last),
        is_budget=last["budget_id"] is not None,
        author=view.session.principal.public_key,
    )


async def acknowledge(view: View) -> Response:
    """Acknowledge an episode, so that its notifications are not repeated."""
    episode_id = _episode_id(view)
    given = {name: view.form.get(name, "").strip() for name in ("author", "note")}
    body = body_of(AcknowledgementBody, given)
    await acknowledge_episode(view.context, view.project_id, episode_id, body)
    return see_other(view.path("alerts", episode_id))


async def withdraw(view: View) -> Response:
    """Withdraw an acknowledgement."""
    episode_id = _episode_id(view)
    await withdraw_acknowledgement(view.context, view.project_id, episode_id)
    return see_other(view.path("alerts", episode_id))


def _matchers(each: Mapping[str, Any]) -> str:
    """Return the query string of a silence of a group."""
    labels = {"rule_id": each["rule_id"] or each["budget_id"], **(each["group"] or {})}
    return "?" + urlencode({"matchers": matchers_of(labels)})


def _episode_id(view: View) -> str:
    found: str = view.request.path_params["episode_id"]
    if len(found) > EPISODE_CHARS_MAX:
        message = f"episode_id: must have at most {EPISODE_CHARS_MAX} characters"
        raise BadRequestError(message, field="episode_id")
    return found


REGISTERED = (
    Page("/alerts", show_list, title="Alerts", group="alerting", place=10),
    Page("/alerts/{episode_id:path}", show_episode),
    Action("/alerts/{episode_id:path}/acknowledge", acknowledge),
    Action("/alerts/{episode_id:path}/withdraw", withdraw),
)
