"""Render Markdown of texts that clients sent, without HTML, images and addresses of scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

CHARS_MAX: Final = 40_000
"""Maximum number of characters that a page shows formatted; its other texts are shown as text."""
NESTING_MAX: Final = 20
"""Levels of lists, quotes and emphasis; what is deeper is shown as text."""
CELLS_MAX: Final = 10_000
"""Maximum number of cells that the tables of a text could have, because rows that are too short
are filled up; above it, tables are shown as text."""
_SCHEMES: Final = ("http://", "https://", "mailto:")
_REL: Final = "noopener noreferrer nofollow"
_PLAIN: Final = frozenset(
    ("paragraph_open", "paragraph_close", "inline", "text", "softbreak", "hardbreak")
)
"""Types of tokens of a text without any formatting."""


class Formatting:
    """Formats the texts of a page, up to a number of characters in total."""

    def __init__(self, chars_max: int = CHARS_MAX) -> None:
        self._chars_left = chars_max

    def of(self, text: str) -> Markup:
        """Return the HTML of a text; empty if it has no formatting, or there are too many texts."""
        if not text or len(text) > self._chars_left:
            return Markup()
        self._chars_left -= len(text)
        return formatted(text)


def formatted(text: str) -> Markup:
    """Return the HTML of a Markdown text; empty if the text has no formatting."""
    parser = _PARSER if _cells_of(text) <= CELLS_MAX else _PARSER_WITHOUT_TABLES
    tokens = parser.parse(text)
    if all(each.type in _PLAIN for each in _all(tokens)):
        return Markup()
    for token in tokens:
        _restrict(token)
        if token.children:
            token.children = list(_without_images(token.children))
    # Everything in it is made by the renderer, which escapes texts and attributes.
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704


def _parser(*rules: str) -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": NESTING_MAX}
    parser = MarkdownIt("commonmark", options).enable(["strikethrough", *rules])
    # Logs and code without fences are indented, too.
    parser.disable("code")
    parser.validateLink = _is_allowed  # type: ignore[method-assign]  # as its documentation says
    return parser


def _is_allowed(url: str) -> bool:
    return url.lower().startswith(_SCHEMES)


def _cells_of(text: str) -> int:
    lines = text.splitlines()
    return len(lines) * max((line.count("|") for line in lines), default=0)


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _restrict(token: Token) -> None:
    """Make headings paragraphs, because the page has its own, and styles classes."""
    if token.type in {"heading_open", "heading_close"}:
        if token.nesting == 1:
            token.attrs["class"] = f"heading-{min(int(token.tag[1:]), 4)}"
        token.tag = "p"
    style = token.attrs.pop("style", None)
    if style == "text-align:right":
        token.attrs["class"] = "number"


def _without_images(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield tokens with links instead of images, which would be requests to other hosts."""
    links = 0
    for token in tokens:
        if token.type in {"link_open", "link_close"}:
            links += token.nesting
            if token.nesting == 1:
                token.attrs |= {"rel": _REL, "target": "_blank"}
        if token.type != "image":
            yield token
            continue
        url = str(token.attrs.get("src", ""))
        shown = Token("text", "", 0, content=token.content or url)
        if links:
            yield shown
            continue
        attributes: dict[str, str | int | float] = {"href": url, "rel": _REL, "target": "_blank"}
        yield Token("link_open", "a", 1, attrs=attributes)
        yield shown
        yield Token("link_close", "a", -1)


_PARSER: Final = _parser("table")
_PARSER_WITHOUT_TABLES: Final = _parser()
