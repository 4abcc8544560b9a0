"""Score the traces or observations that were chosen in a list, all with the same values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response

from producers.control.kinds.score_config import ScoreConfig
from query_api.console.annotation import Given, configs_of_queue, scores_of
from query_api.console.form_bodies import Faults, FormError, digits_in
from query_api.console.form_faults import REFUSALS, faults_of, status_of
from query_api.console.page import Action, Page, View
from query_api.console.responses import see_other
from query_api.console.sent_scores import send_scores
from query_api.errors import BadRequestError
from query_api.langfuse.score_configs import configs_of
from query_api.store.queries.observations import ReadObservations
from query_api.store.rows import OBSERVATION_NUMBERS, TRACE_CORE
from query_api.store.trace_reading import read_observations, read_traces

CHOSEN_MAX: Final = 50
"""Maximum number of rows that are scored at once; a page of a list has as many."""
ID_CHARS_MAX: Final = 1_000
NUMBER_DIGITS_MAX: Final = 9
TRACE: Final = "trace."
OBSERVATION: Final = "observation."
"""What the names of fields with chosen rows begin with."""


@dataclass(frozen=True, slots=True)
class Target:
    """A row that is scored, with its name and its page; without an observation, it is a trace."""

    trace_id: str
    observation_id: str
    name: str = ""
    path: str = ""


async def choose(view: View) -> Response:
    """Show the form for the rows that are chosen in a list."""
    targets = list(_chosen(view.form))
    return see_other(f"{view.path('scores', 'new')}?{_query_of(targets)}")


async def show(view: View) -> Response:
    """Show the chosen rows, and the score configs to score them by."""
    return _show(view, await _named(view, _targets(view)), {}, {})


async def save(view: View) -> Response:
    """Send a score of each chosen row for each config that has a value."""
    view.session.principal.require("read")  # a refused form is shown with the rows
    targets = await _named(view, _targets(view))
    configs, author = _configs(view), view.session.principal.public_key
    try:
        scores = [
            each
            for target in targets
            for each in scores_of(
                view.form, configs, target.trace_id, author, target.observation_id
            )
        ]
        if not scores:
            raise FormError({"": "nothing is sent yet: enter at least one value"})
        await send_scores(view, scores)
    except REFUSALS as error:
        return _show(view, targets, view.form, faults_of(error), status_of(error))
    query = urlencode({"sent": len(scores), "rows": len(targets)})
    return see_other(f"{view.path('scores', 'new')}?{query}&{_query_of(targets)}")


def _show(
    view: View, targets: list[Target], form: Mapping[str, str], faults: Faults, status: int = 200
) -> Response:
    given = [
        Given(config, key, form.get(f"score.{config.id}", ""), "")
        for key, config in enumerate(_configs(view), 1)
    ]
    is_of_observations = any(each.observation_id for each in targets)
    return view.render(
        "chosen_scores.html",
        status=status,
        targets=targets,
        given=given,
        comment=form.get("comment", ""),
        faults=faults,
        sent=_number(view, "sent"),
        of_rows=_number(view, "rows"),
        save_path=f"{view.path('chosen-scores')}?{_query_of(targets)}",
        list_path=view.path("observations" if is_of_observations else "traces"),
        is_of_observations=is_of_observations,
        may_score=view.may("scores"),
        may_configure=view.may("write"),
    )


def _chosen(form: Mapping[str, str]) -> Iterator[Target]:
    """Return the rows of a list's form.

    Raises:
        BadRequestError: there is none, or one is not as the page has written it.
    """
    fields = [each for each in form if each.startswith((TRACE, OBSERVATION))]
    if not fields:
        raise BadRequestError("choose at least one row", field=f"{TRACE}0")
    _check_number(len(fields), fields[-1])
    for field in fields:
        if field.startswith(TRACE):
            yield Target(form[field][:ID_CHARS_MAX], "")
            continue
        try:
            trace_id, id_ = msgspec.json.decode(form[field], type=tuple[str, str])
        except msgspec.DecodeError as error:
            message = 'must be a list such as ["trace","observation"]'
            raise BadRequestError(message, field=field) from error
        yield Target(trace_id[:ID_CHARS_MAX], id_[:ID_CHARS_MAX])


def _targets(view: View) -> list[Target]:
    """Return the rows that the query string names.

    Raises:
        BadRequestError: there are too many, or as many observations as traces are expected.
    """
    given = view.request.query_params
    traces, observations = given.getlist("trace"), given.getlist("observation")
    _check_number(len(traces), "trace")
    if observations and len(observations) != len(traces):
        message = "observation: as many as traces are expected"
        raise BadRequestError(message, field="observation")
    pairs = zip(traces, observations or [""] * len(traces), strict=True)
    return [Target(trace_id, id_) for trace_id, id_ in dict.fromkeys(pairs)]


def _check_number(number: int, field: str) -> None:
    if number > CHOSEN_MAX:
        raise BadRequestError(f"{field}: choose at most {CHOSEN_MAX} rows", field=field)


async def _named(view: View, targets: list[Target]) -> list[Target]:
    """Return the rows that exist, with their names and pages."""
    if not targets:
        return []
    reader, trace_ids = view.context.reader, tuple({each.trace_id for each in targets})
    names: dict[tuple[str, str], str] = {}
    if any(each.observation_id for each in targets):
        query = ReadObservations(
            view.project_id,
            trace_ids=trace_ids,
            ids=tuple({each.observation_id for each in targets}),
            columns=OBSERVATION_NUMBERS,
        )
        rows = await read_observations(reader, query)
        names = {(row.trace_id, row.id): row.name or row.type for row in rows}
    else:
        traces = await read_traces(reader, view.project_id, trace_ids, TRACE_CORE)
        names = {(row.id, ""): row.name for row in traces.values()}
    found = []
    for each in targets:
        name = names.get((each.trace_id, each.observation_id))
        if name is not None:
            path = view.path("traces", each.trace_id)
            if each.observation_id:
                path += f"?observation={quote(each.observation_id, safe='')}"
            found.append(Target(each.trace_id, each.observation_id, name, path))
    return found


def _configs(view: View) -> list[ScoreConfig]:
    return configs_of_queue(configs_of(view.context, view.project_id), [])


def _query_of(targets: list[Target]) -> str:
    given = [("trace", each.trace_id) for each in targets]
    given += [("observation", each.observation_id) for each in targets if each.observation_id]
    return urlencode(given)


def _number(view: View, name: str) -> int:
    return digits_in(view.parameter(name), NUMBER_DIGITS_MAX) or 0


REGISTERED = (
    Page("/scores/new", show),
    Action("/score-choices", choose, scope="scores"),
    Action("/chosen-scores", save, scope="scores"),
)
