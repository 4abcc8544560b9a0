"""List alert rules, show one with its states and versions, and write them with a preview."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from producers.alerting.metrics.silence import SILENCE
from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from query_api.alerting.rule_bodies import AlertRuleChange
from query_api.alerting.rule_records import new_rule, shown_rule
from query_api.console import rule_forms
from query_api.console.edit_forms import save, status_of_refusal, with_version
from query_api.console.form_bodies import Faults, body_of, faults_of, of_fields
from query_api.console.metric_values import is_compared, shown_amount, unit_of
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.previews import latest_preview
from query_api.console.record_lists import record_page
from query_api.console.responses import see_other
from query_api.console.rule_charts import RulePast, rule_past
from query_api.console.time_ranges import PRESETS
from query_api.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    QueryApiError,
    TooCostlyError,
)
from query_api.times import SECOND_US
from query_api.v1.alert_rule_trials import TestFireBody, annotations_of, fire_test
from query_api.v1.alert_rules import RESOURCE, read_versions, stored_versions
from query_api.v1.alerts import STATES, AlertParameters, read_alert_states
from query_api.v1.records import find, records_of
from query_api.v1.rule_backtests import BacktestBody, backtest_rule
from tracemill.clock import now_us

ROWS: Final = 50
STATES_MAX: Final = 500
"""Groups that the list counts by state, and that the page of a rule shows."""
PREVIEW_RANGES: Final = ("6h", "24h", "7d")
DEFAULT_RANGE: Final = "24h"
ACTIVE: Final = ("firing", "no_data", "error", "recovering", "pending")
"""States other than OK, the worst first."""
SWITCHES: Final[Mapping[str, Mapping[str, bool]]] = {
    "enable": {"enabled": True},
    "disable": {"enabled": False},
    "shadow": {"shadow": True},
    "deliver": {"shadow": False},
}
_UNREACHED: Final = "1000000000000000"
"""A threshold that no value reaches: the preview of a form without one shows the values."""


@dataclass(frozen=True, slots=True)
class RuleRow:
    rule: AlertRule
    path: str
    threshold: str
    states: Mapping[str, int]
    """Numbers of groups by state."""
    fault: str | None


async def show_list(view: View) -> Response:
    """Show a page of rules with the states of their groups."""
    page = record_page(view, RESOURCE, ROWS)
    states, _ = await read_alert_states(
        view.context, view.project_id, AlertParameters(state=",".join(ACTIVE), limit=STATES_MAX)
    )
    counts: dict[str, Counter[str]] = {}
    for each in states:
        counts.setdefault(each.rule_id, Counter())[each.state] += 1
    return view.render(
        "alert_rules.html",
        rows=[_row(view, each, counts.get(each.id, {})) for each in page.records],
        active=ACTIVE,
        page=page,
    )


async def show_one(view: View) -> Response:
    """Show a rule; a part of the page is the chart of its past."""
    rule = _found(view)
    preset = view.parameter("range")
    past, fault = None, ""
    if view.is_part or preset:
        try:
            past = await _past(view, preset, rule, rule_id=rule.id)
        except (BadRequestError, TooCostlyError) as error:
            fault = error.message
    shown: dict[str, Any] = {
        "past": past,
        "faults": {"": fault} if fault else {},
        "annotations": {},
    }
    if view.is_part:
        return view.render("alert_rule_preview.html", **shown, is_form=False)
    parameters = AlertParameters(rule_id=rule.id, state=",".join(STATES), limit=STATES_MAX)
    (states, _), versions = await asyncio.gather(
        read_alert_states(view.context, view.project_id, parameters),
        read_versions(view.context, view.project_id, rule.id),
    )
    return view.render(
        "alert_rule.html",
        **shown,
        rule=rule,
        row=_row(view, rule, {}),
        shown=optional(shown_rule(rule)),
        states=[optional(each) for each in states],
        versions=[optional(each) for each in versions],
        amount=lambda value: shown_amount(view.formats, _unit(rule), value),
        preset=preset if preset in PREVIEW_RANGES else DEFAULT_RANGE,
        presets=PREVIEW_RANGES,
        is_form=False,
        was_tested=bool(view.parameter("tested")),
    )


async def show_new(view: View) -> Response:
    """Show the form of a new rule; the query string can fill in its fields."""
    form = rule_forms.new_form(view.request.query_params, view.preferences.zone_name)
    return _form(view, form)


async def show_edit(view: View) -> Response:
    """Show the form of a rule, with the values of an earlier version if the viewer chose one."""
    rule = _found(view)
    earlier = await _earlier(view, rule) if view.parameter("restore") else None
    form = with_version(rule_forms.form_of_rule(earlier or rule), rule)
    return _form(view, form, rule, restored=earlier)


async def create(view: View) -> Response:
    """Create the rule of a form."""
    author = view.session.principal.public_key
    try:
        body = rule_forms.rule_body(view.form)
        made = await records_of(view.context, RESOURCE).create(view.project_id, body, author)
    except (BadRequestError, ConflictError) as error:
        return _form(view, view.form, faults=_faults(error), status=422)
    return see_other(view.path("alert-rules", made.id))


async def change(view: View) -> Response:
    """Replace a rule by that of a form."""
    rule = _found(view)
    try:
        body = rule_forms.rule_body(view.form)
        await save(view, records_of(view.context, RESOURCE).replace, rule, body)
    except BadRequestError as error:
        return _form(view, view.form, rule, _faults(error), status=status_of_refusal(error))
    return see_other(view.path("alert-rules", rule.id))


async def switch(view: View) -> Response:
    """Enable or disable a rule, or end or begin to deliver its alerts."""
    rule = _found(view)
    changed = SWITCHES.get(view.form.get("switch", ""))
    if changed is None:
        message = f"switch: must be one of {', '.join(SWITCHES)}"
        raise BadRequestError(message, field="switch")
    body = body_of(AlertRuleChange, changed)
    author = view.session.principal.public_key
    await records_of(view.context, RESOURCE).change(view.project_id, rule.id, body, author)
    return see_other(view.path("alert-rules", rule.id))


async def test(view: View) -> Response:
    """Send a test alert of a rule."""
    rule = _found(view)
    event = view.form.get("event") or "alert.firing"
    body = body_of(TestFireBody, {"event": event, "author": view.session.principal.public_key})
    await fire_test(view.context, view.project_id, rule.id, body)
    return see_other(f"{view.path('alert-rules', rule.id)}?tested=1")


async def delete(view: View) -> Response:
    """Delete a rule."""
    await records_of(view.context, RESOURCE).delete(view.project_id, _found(view).id)
    return see_other(view.path("alert-rules"))


async def preview(view: View) -> Response:
    """Show when the rule of a form would have fired, and its texts; it is not created."""
    found = await latest_preview(view, _preview(view, view.form))
    if found is None:
        return Response(status_code=204)
    past, annotations, faults = found
    if view.is_part:
        return view.render(
            "alert_rule_preview.html",
            past=past,
            annotations=annotations,
            faults=faults,
            fields=rule_forms.FIELDS,
            unit=_unit_of_form(view.form),
            is_form=True,
        )
    rules = view.context.control.view.in_project(AlertRule, view.project_id)
    held = rules.get(view.form.get("record_id", ""))
    return _form(view, view.form, held, faults, past, annotations)


async def _preview(
    view: View, form: Mapping[str, str]
) -> tuple[RulePast | None, Mapping[str, str], Faults]:
    changed: dict[str, Any] = {"name": form.get("name", "").strip() or "-"}
    has_threshold = bool(form.get("threshold", "").strip()) or form.get("metric") == SILENCE
    is_anomaly = form.get("compare_with") == rule_forms.ANOMALY
    metric = METRICS.get(form.get("metric", ""))
    if not has_threshold and not is_anomaly and metric is not None:
        changed |= {"threshold": str(metric.highest or _UNREACHED), "comparison": ">"}
    annotations: Mapping[str, str] = {}
    try:
        body = rule_forms.rule_body(form, **changed)
        annotations = annotations_of(view.project_id, body)
        made = new_rule(view.project_id, body, now_us())
        past = await _past(
            view, form.get("preview_range", ""), made, has_threshold=has_threshold, rule=body
        )
    except (BadRequestError, TooCostlyError) as error:
        return None, annotations, _faults(error)
    return past, annotations, {}


async def _past(
    view: View, preset: str, evaluated: AlertRule, *, has_threshold: bool = True, **of: Any
) -> RulePast:
    at_us = now_us()
    length_s = PRESETS[preset if preset in PREVIEW_RANGES else DEFAULT_RANGE]
    body = BacktestBody.model_construct(from_us=at_us - length_s * SECOND_US, to_us=at_us, **of)
    found = await backtest_rule(view.context, view.project_id, body)
    threshold = evaluated.threshold if has_threshold or evaluated.anomaly else None
    return rule_past(found, threshold, _unit(evaluated), view.formats)


async def _earlier(view: View, rule: AlertRule) -> AlertRule:
    """Return the version of a rule that the query string names."""
    text = view.parameter("restore")
    for version, _ in await stored_versions(view.context, view.project_id, rule.id):
        if str(version.version) == text:
            return version
    raise NotFoundError(f"the rule has no version {text[:20]!r}")


def _form(
    view: View,
    form: Mapping[str, str],
    rule: AlertRule | None = None,
    faults: Faults | None = None,
    past: RulePast | None = None,
    annotations: Mapping[str, str] | None = None,
    *,
    status: int = 200,
    restored: AlertRule | None = None,
) -> Response:
    return view.render(
        "alert_rule_form.html",
        status=status,
        restored=restored,
        rule=rule,
        values=form,
        faults=faults or {},
        past=past,
        annotations=annotations or {},
        metrics=tuple(METRICS),
        names=rule_forms.NAMES,
        common=rule_forms.COMMON_NAMES,
        dimensions=rule_forms.DIMENSIONS,
        fields=rule_forms.FIELDS,
        unit=_unit_of_form(form),
        preview_ranges=PREVIEW_RANGES,
        is_form=True,
    )


def _row(view: View, rule: AlertRule, states: Mapping[str, int]) -> RuleRow:
    threshold = shown_amount(view.formats, _unit(rule), rule.threshold)
    return RuleRow(
        rule, view.path("alert-rules", rule.id), threshold, states, shown_rule(rule).fault
    )


def _unit(rule: AlertRule) -> str:
    return unit_of(rule.metric, is_compared=is_compared(rule))


def _unit_of_form(form: Mapping[str, str]) -> str:
    return unit_of(form.get("metric", ""), is_compared=bool(form.get("compare_with")))


def _found(view: View) -> AlertRule:
    return find(view.context, AlertRule, view.project_id, view.request.path_params["rule_id"])


def _faults(error: QueryApiError) -> Faults:
    faults = faults_of(error, "rule.")
    return of_fields(faults, rule_forms.FIELDS)


REGISTERED = (
    Page("/alert-rules", show_list, title="Alert rules", group="alerting", place=30),
    Page("/alert-rules/new", show_new, scope="write"),
    Page("/alert-rules/{rule_id}", show_one),
    Page("/alert-rules/{rule_id}/edit", show_edit, scope="write"),
    Action("/alert-rules/new", create),
    Action("/alert-rules/preview", preview),
    Action("/alert-rules/{rule_id}/edit", change),
    Action("/alert-rules/{rule_id}/switch", switch),
    Action("/alert-rules/{rule_id}/test", test),
    Action("/alert-rules/{rule_id}/delete", delete),
)
