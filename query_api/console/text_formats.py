"""Read from the query string whether texts are shown formatted or as they are."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from query_api.console.markdown import Formatting
from query_api.console.page import View

PARAMETER: Final = "texts"
PLAIN: Final = "plain"
KEPT: Final = ("observation", "cursor")
"""Parameters that remain when the format is switched."""


class TextFormat:
    """The format of the texts of a page."""

    def __init__(self, view: View) -> None:
        self.is_plain = view.parameter(PARAMETER) == PLAIN
        self.formatting = None if self.is_plain else Formatting()
        self._kept = {name: view.parameter(name) for name in KEPT}

    def url(self, **changed: str) -> str:
        """Return the query string with some parameters changed; empty ones are left out."""
        given = {**self._kept, PARAMETER: PLAIN if self.is_plain else "", **changed}
        return f"?{urlencode({name: each for name, each in given.items() if each})}"

    def switched(self, text_format: str) -> str:
        """Return the query string with another format, ``plain`` or empty."""
        return self.url(**{PARAMETER: text_format})
