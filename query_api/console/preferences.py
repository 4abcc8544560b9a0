"""Read how a viewer wants pages: language, time zone and theme, from cookies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from producers.control.periods import zone_of
from query_api.console.translations import LOCALES, preferred_locale
from query_api.times import zone_names

THEMES: Final = ("auto", "light", "dark", "contrast")
LOCALE_COOKIE: Final = "tracemill_locale"
ZONE_COOKIE: Final = "tracemill_zone"
THEME_COOKIE: Final = "tracemill_theme"
YEAR_S: Final = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Preferences:
    locale: str
    zone_name: str
    """Name of the time zone; empty: the viewer has not chosen one, and UTC is shown."""
    theme: str

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.zone_name or "UTC")


def preferences_of(request: Request) -> Preferences:
    """Return the preferences of a request; what is missing or invalid has its default."""
    cookies = request.cookies
    locale = cookies.get(LOCALE_COOKIE, "")
    if locale not in LOCALES:
        locale = preferred_locale(request.headers.get("accept-language", ""))
    theme = cookies.get(THEME_COOKIE, "")
    return Preferences(
        locale,
        known_zone(cookies.get(ZONE_COOKIE, "")),
        theme if theme in THEMES else THEMES[0],
    )


def known_zone(name: str) -> str:
    """Return the name of a time zone; empty if there is none of this name."""
    name = name.replace("%2F", "/")
    return name if name in zone_names() else ""


def keep(response: Response, name: str, value: str, *, is_https: bool) -> None:
    """Set a cookie with a preference. Scripts may read it, as it is no secret."""
    response.set_cookie(name, value, max_age=YEAR_S, secure=is_https, samesite="lax")
