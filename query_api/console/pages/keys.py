"""List the API keys of a project, create, rotate and revoke them. A secret is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from producers.control.kinds.project import Project
from producers.control.scopes import DEFAULT_SCOPES, SCOPES
from query_api.console.form_bodies import Faults, body_of, checked, faults_of, of_fields
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.responses import see_other
from query_api.errors import BadRequestError, ConflictError
from query_api.tenants.keys import IssuedKey
from query_api.v1.admin_keys import KeyBody, shown_key
from tracemill.clock import now_us

FIELDS: Final = ("scopes", "expires_at", "note")
OVERLAPS_S: Final = (0, 3_600, 86_400, 604_800)


async def show_list(view: View) -> Response:
    """Show the keys of the project, without their secrets."""
    keys = view.context.keys.of(_project(view))
    return view.render(
        "keys.html",
        rows=[optional(shown_key(each)) for each in keys],
        own=view.session.principal.public_key,
        overlaps_s=[each for each in OVERLAPS_S if each <= view.context.settings.key_overlap_max_s],
        at_us=now_us(),
    )


async def show_new(view: View) -> Response:
    """Show the form of a new key."""
    return _form(view, {f"scopes.{each}": "on" for each in DEFAULT_SCOPES})


async def create(view: View) -> Response:
    """Create the key of a form, and show its secret once."""
    values: dict[str, Any] = {
        "scopes": [each for each in SCOPES if each in checked(view.form, "scopes.")],
        "note": view.form.get("note", "").strip(),
        "expires_at": view.form.get("expires_at", "").strip() or None,
    }
    try:
        body = body_of(KeyBody, values)
        issued = await view.context.keys.issue(
            _project(view), scopes=body.scopes, expires_at_us=body.expires_at, note=body.note
        )
    except (BadRequestError, ConflictError) as error:
        faults = faults_of(error)
        return _form(view, view.form, of_fields(faults, FIELDS), status=422)
    return _secret(view, issued, status=201)


async def rotate(view: View) -> Response:
    """Replace the secret of a key, and show the new one once."""
    overlap = view.form.get("overlap_s", "0")
    allowed = [str(each) for each in OVERLAPS_S if each <= view.context.settings.key_overlap_max_s]
    if overlap not in allowed:
        message = f"overlap_s: must be one of {', '.join(allowed)}"
        raise BadRequestError(message, field="overlap_s")
    key_id = view.request.path_params["key_id"]
    issued = await view.context.keys.rotate(_project(view), key_id, overlap_s=int(overlap))
    return _secret(view, issued)


async def revoke(view: View) -> Response:
    """Revoke a key; it is refused at once."""
    await view.context.keys.revoke(_project(view), view.request.path_params["key_id"])
    return see_other(view.path("keys"))


def _secret(view: View, issued: IssuedKey, *, status: int = 200) -> Response:
    return view.render("key_secret.html", status=status, issued=issued, path=view.path("keys"))


def _form(
    view: View, form: Mapping[str, str], faults: Faults | None = None, *, status: int = 200
) -> Response:
    return view.render(
        "key_form.html", status=status, values=form, faults=faults or {}, scopes=SCOPES
    )


def _project(view: View) -> Project:
    return view.context.projects.find(view.session.principal, view.project_id)


REGISTERED = (
    Page("/keys", show_list, title="API keys", group="manage", place=30, scope="admin"),
    Page("/keys/new", show_new, scope="admin"),
    Action("/keys/new", create, scope="admin"),
    Action("/keys/{key_id}/rotate", rotate, scope="admin"),
    Action("/keys/{key_id}/revoke", revoke, scope="admin"),
)
