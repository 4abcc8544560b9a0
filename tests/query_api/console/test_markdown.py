"""Markdown of clients becomes markup that loads nothing, runs nothing, and takes linear time."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from query_api.console.markdown import CHARS_MAX, Formatting, formatted
from query_api.console.shown_values import shown_value

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java&#115;cript:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x)",
    "[a](file:///etc/passwd)",
    "[a](//elsewhere.example/x)",
    "[a](/project/acme/sign-out)",
    "[a](?observation=x)",
    "[a][b]\n\n[b]: javascript:alert(1)",
    "[a]\n\n[a]: <data:text/html,x> 'title'",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "![a](javascript:alert(1))",
    "![a](data:image/svg+xml;base64,PHN2Zz4=)",
    "![a](https://elsewhere.example/pixel.png)",
    "[![a](https://elsewhere.example/pixel.png)](https://b.example)",
    '[a](https://a.example/"onmouseover=alert(1)//)',
    "[a](https://a.example 'x\" onmouseover=\"alert(1)')",
    "[a](https://a.example/<script>)",
    '```"><script>alert(1)</script>\nx\n```',
    "`<script>alert(1)</script>`",
    "| a |\n| -: |\n| <img src=x> |",
    "<style>*{display:none}</style>",
    "**<b onclick=x>**",
    "<!-- x --><![CDATA[x]]><?php x?>",
    "\\<script>alert(1)</script>",
    "&lt;script&gt;",
    "[a](https://a.example\n\n- <iframe src=x>",
]
TAGS = {
    "p", "br", "hr", "em", "strong", "s", "a", "code", "pre", "ul", "ol", "li", "blockquote",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {"href", "rel", "target", "title", "class", "start"}


class Markup(HTMLParser):
    """What a browser would make of a text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open_links = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _ in attrs} <= ATTRIBUTES
        self.found.append((tag, dict(attrs)))
        if tag == "a":
            assert self.open_links == 0
            self.open_links += 1

    def handle_endtag(self, tag: str) -> None:
        self.open_links -= tag == "a"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("around", ["%s", "# %s", "- %s", "> **bold** %s", "a\n\n%s\n\n*b*"])
def test_hostile_markdown_becomes_harmless_markup(text: str, around: str) -> None:
    for tag, attributes in Markup(formatted(around % text)).found:
        if tag == "a":
            assert re.match(r"(https?://[^/]|mailto:)", attributes["href"] or "")
            assert attributes["rel"] == "noopener noreferrer nofollow"


def test_what_people_write_is_formatted() -> None:
    html = formatted(
        "# Title\n\nA **bold** word, `code`, ~~gone~~\nand <https://a.example>\n\n"
        "1. one\n2. two\n\n> quote\n\n```py\nx < 1\n```\n\n| n | s |\n| -: | - |\n| 1 | a |"
    )
    for part in (
        '<p class="heading-1">Title</p>', "<strong>bold</strong>", "<s>gone</s><br", "<ol>",
        "<blockquote>", "x &lt; 1", '<td class="number">1</td>', 'href="https://a.example"',
    ):  # fmt: skip
        assert part in html, part
    assert "style=" not in html


def test_an_image_is_a_link_that_names_it() -> None:
    html = formatted("![a chart](https://elsewhere.example/c.png)")
    assert "<img" not in html
    assert re.search(r'<a href="https://elsewhere\.example/c\.png"[^>]*>a chart</a>', html)


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines", "snake_case_name", "2 * 3 * 4", "    at f(x)\n    at g(y)"]
)
def test_a_text_without_formatting_stays_as_it_is(text: str) -> None:
    assert not formatted(text)
    found = shown_value(text or "x", chars_max=100, nodes_max=10, formatting=Formatting())
    assert not found.formatted


def test_a_page_formats_texts_up_to_a_number_of_characters() -> None:
    formatting = Formatting()
    text = "*a* " * (CHARS_MAX // 8)
    assert formatting.of(text)
    assert formatting.of(text)
    assert not formatting.of("*a*")


@pytest.mark.parametrize(
    "piece",
    ["*", "_", "[", "![", "**a ", "*a_ ", "[a](", "[a][", "](", "<", "`", "> ", "- ", "~~a ", "&",
     "|", "|a", "\n|-", "[a]: <\n", "(", "*(", "<!--", "\\", "<http:"],
)  # fmt: skip
def test_repetition_takes_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started_s = time.process_time()
    for each in (text, f"{text}]", f"x {text} x"):
        Markup(formatted(each))
    # A quadratic algorithm takes minutes.
    assert time.process_time() - started_s < 15


def test_short_rows_of_a_wide_table_are_not_filled_up() -> None:
    text = "|" + "a|" * 5_000 + "\n|" + "-|" * 5_000 + "\n" + "x\n" * 2_000
    assert len(formatted(f"*a*\n\n{text}")) < 2 * len(text)
