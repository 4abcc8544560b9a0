"""Change what a viewer prefers, and sign out."""

from __future__ import annotations

from starlette.responses import Response

from query_api.console.links import SIGN_IN
from query_api.console.page import Action, View
from query_api.console.preferences import (
    LOCALE_COOKIE,
    THEME_COOKIE,
    THEMES,
    ZONE_COOKIE,
    keep,
    known_zone,
)
from query_api.console.responses import is_https, local_path, see_other
from query_api.console.translations import LOCALES


async def change_preferences(view: View) -> Response:
    """Keep the chosen language, theme and time zone; unknown values change nothing."""
    response = see_other(local_path(view.form.get("next", ""), view.project_id))
    https = is_https(view.request, view.context.settings.public_url)
    zone = known_zone(view.form.get("zone", "").strip())
    chosen = (
        (LOCALE_COOKIE, view.form.get("locale", ""), LOCALES),
        (THEME_COOKIE, view.form.get("theme", ""), THEMES),
        (ZONE_COOKIE, zone, (zone,) if zone else ()),
    )
    for name, value, allowed in chosen:
        if value in allowed:
            keep(response, name, value, is_https=https)
    return response


async def sign_out(view: View) -> Response:
    """End the sessions of this browser, for all processes."""
    response = see_other(SIGN_IN)
    await view.sessions.end(view.request, response)
    return response


REGISTERED = (
    Action("/preferences", change_preferences, scope=None),
    Action("/sign-out", sign_out, scope=None),
)
