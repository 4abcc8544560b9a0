"""List the tiers of users, set them, and remove them."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from producers.tiers.record import Tier
from query_api.console.form_bodies import Faults, FormError, body_of, of_fields
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.record_lists import following_of, parameters_of
from query_api.console.responses import see_other
from query_api.v1.tiers import TierParameters, UserTierBody, page_of_tiers

ROWS: Final = 50
FIELDS: Final = ("user_id", "tier")


async def show_list(view: View) -> Response:
    """Show a page of users with their tiers."""
    return await _list(view, {}, {})


async def set_tier(view: View) -> Response:
    """Set the tier of a user; an empty one removes it."""
    given = {name: view.form.get(name, "").strip() for name in FIELDS}
    try:
        body = body_of(UserTierBody, {**given, "tier": given["tier"] or None})
    except FormError as error:
        return await _list(view, given, of_fields(error.faults, FIELDS), status=422)
    tier = Tier(view.project_id, body.user_id, body.tier or "")
    limit = view.context.settings.tiers_per_project_max
    await view.context.tiers.write([tier], per_project_max=limit)
    return see_other(view.path("tiers"))


async def _list(
    view: View, values: dict[str, str], faults: Faults, *, status: int = 200
) -> Response:
    tier = view.parameter("tier")
    parameters = parameters_of(view, TierParameters, limit=ROWS, tier=tier or None)
    page = await page_of_tiers(view.context.tiers.book.in_project(view.project_id), parameters)
    return view.render(
        "tiers.html",
        status=status,
        rows=[optional(each) for each in page.data],
        tier=tier,
        values=values,
        faults=faults,
        following=following_of(page.meta, tier=tier),
        is_first=not view.parameter("cursor"),
    )


REGISTERED = (
    Page("/tiers", show_list, title="Tiers of users", group="manage", place=20),
    Action("/tiers/set", set_tier),
)
