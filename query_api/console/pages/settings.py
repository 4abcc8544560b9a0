"""Show the settings of a project together, and set its protected labels."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from starlette.responses import Response

from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.budget import Budget
from producers.control.kinds.channel import Channel
from producers.control.kinds.price import Price
from producers.control.kinds.project import Project
from producers.control.kinds.protected_labels import ProtectedLabels
from producers.control.kinds.route import Route
from producers.control.kinds.score_config import ScoreConfig
from producers.control.kinds.webhook import Webhook
from producers.control.record import ProjectRecord
from producers.errors import ControlVersionError
from query_api.console.edit_forms import StaleFormError, status_of_refusal
from query_api.console.form_bodies import VERSION, Faults, body_of, faults_of, of_fields, words_of
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.responses import see_other
from query_api.errors import BadRequestError
from query_api.v1.admin_keys import shown_key
from query_api.v1.admin_limits import limits_of
from query_api.v1.etags import Precondition, etag_of
from query_api.v1.protected_labels import ProtectedLabelsBody, set_protected

FIELDS: Final = ("labels",)
KEYS_MAX: Final = 6
"""Maximum number of keys that the overview lists."""
TIERS_MAX: Final = 8


async def show(view: View) -> Response:
    """Show what is set for the project, with links to the pages that change it."""
    held = view.context.control.view[ProtectedLabels].get(view.project_id)
    labels = ", ".join(held.labels) if held is not None else ""
    version = "" if held is None else etag_of(held)
    return _page(view, {"labels": labels, VERSION: version}, {})


async def protect(view: View) -> Response:
    """Replace the list of protected labels by that of a form."""
    try:
        body = body_of(ProtectedLabelsBody, {"labels": words_of(view.form.get("labels", ""))})
        await _set(view, body)
    except BadRequestError as error:
        faults = of_fields(faults_of(error), FIELDS)
        return _page(view, view.form, faults, status=status_of_refusal(error))
    return see_other(view.path("settings"))


async def _set(view: View, body: ProtectedLabelsBody) -> None:
    """Write the list over the version that the form was opened with.

    Raises:
        StaleFormError: there is another one.
    """
    version = view.form.get(VERSION, "")
    opened = Precondition(frozenset({version})) if version else None
    if opened is None and view.project_id in view.context.control.view[ProtectedLabels]:
        raise StaleFormError
    try:
        await set_protected(view.context, view.project_id, body, opened)
    except ControlVersionError as error:
        raise StaleFormError from error


def _page(view: View, values: Any, faults: Faults, *, status: int = 200) -> Response:
    context, project_id = view.context, view.project_id
    control = context.control.view
    is_admin = view.may("admin")
    project = control[Project].get(project_id)
    keys = context.keys.of(project) if is_admin and project is not None else []
    used = sorted(keys, key=lambda each: (each.last_used_us or 0, each.created_us), reverse=True)
    tiers = Counter(context.tiers.book.in_project(project_id).values())
    webhooks = control.in_project(Webhook, project_id).values()
    return view.render(
        "settings.html",
        status=status,
        project=project,
        public_url=context.settings.public_url,
        keys=[optional(shown_key(each)) for each in used[:KEYS_MAX]],
        key_count=len(keys),
        is_admin=is_admin,
        own=view.session.principal,
        prices=_count(view, Price),
        tiers=tiers.most_common(TIERS_MAX),
        tier_users=tiers.total(),
        webhooks=len(webhooks),
        webhooks_disabled=sum(each.disabled for each in webhooks),
        channels=_count(view, Channel),
        routes=_count(view, Route),
        rules=_count(view, AlertRule),
        budgets=_count(view, Budget),
        score_configs=_count(view, ScoreConfig),
        protected=sorted(context.prompts.protected(project_id)),
        limits=optional(limits_of(context, project_id)) if is_admin else None,
        values=values,
        faults=faults,
    )


def _count(view: View, record: type[ProjectRecord | Price]) -> int:
    return len(view.context.control.view.in_project(record, view.project_id))


REGISTERED = (
    Page("/settings", show, title="Settings", group="manage", place=5),
    Action("/settings/protected-labels", protect, scope="admin"),
)
