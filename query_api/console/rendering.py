"""Render templates, in which all values are escaped."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from query_api.console.formats import Formats
from query_api.console.preferences import Preferences
from query_api.console.search import term
from query_api.console.static_files import static_path
from query_api.console.translations import LOCALES, translations_of
from query_api.money import pico_of

EXTENSIONS: Final = ("jinja2.ext.i18n", "jinja2.ext.loopcontrols")

HTMX_CONFIG: Final = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
        "historyCacheSize": 0,
        "historyRestoreAsHxRequest": False,
        "defaultSwapDelay": 0,
        "defaultSettleDelay": 0,
        # Refused forms are shown, too: their bodies have the errors beside the fields.
        "responseHandling": [{"code": "204", "swap": False}, {"code": "...", "swap": True}],
    }
)
"""Settings of htmx: no inline style or script, which the content security policy forbids, and no
copies of pages in the browser's storage."""

KINDS: Final = frozenset(
    ("generation", "span", "tool", "agent", "event", "retriever", "embedding", "chain", "evaluator")
)
"""Types of observations that have a colour."""


@cache
def environment_of(locale: str) -> Environment:
    """Return the environment that renders templates in a language."""
    environment = Environment(
        loader=PackageLoader("query_api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=EXTENSIONS,
    )
    environment.globals |= {
        "static": static_path,
        "htmx_config": HTMX_CONFIG,
        "locales": LOCALES,
        "search_term": term,
        "kind": kind_of,
        "share": share,
    }
    environment.filters |= {"query_words": query_words, "pico_of": pico_of}
    environment.install_gettext_translations(  # type: ignore[attr-defined]  # of the extension
        translations_of(locale), newstyle=True
    )
    return environment


def render(
    template: str, preferences: Preferences, *, status: int = 200, **values: Any
) -> Response:
    """Return a page in the language, time zone and theme of a viewer."""
    found = environment_of(preferences.locale).get_template(template)
    text = found.render(f=Formats(preferences), preferences=preferences, **values)
    return HTMLResponse(text, status)


def kind_of(observation_type: str) -> str:
    """Return the type of an observation for the style sheet; ``other`` if it has no colour."""
    lower = observation_type.lower()
    return lower if lower in KINDS else "other"


def query_words(query: str) -> str:
    """Return a query string as people read it: ``q: level:error · range: 24h``."""
    pairs = parse_qsl(query)
    return " · ".join(f"{name}: {value}" for name, value in pairs)


def share(part: int, whole: int) -> str:
    """Return a part as a percentage for SVG attributes."""
    return f"{100 * part / whole:.3f}%"
