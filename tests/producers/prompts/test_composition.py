"""References among prompts are replaced as if each were written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.control.kinds.prompt_version import PromptReference
from producers.prompts.composition import DEPTH_MAX, Composer, CompositionError, Source
from producers.prompts.references import references_in, variables_in


def tag(name: str) -> str:
    return f"@@@langfusePrompt:name={name}|label=production@@@"


def source(name: str, text: str, *, is_text: bool = True) -> Source:
    return Source(
        id=f"id-{name}", name=name, version=1, is_text=is_text,
        references=references_in([text]), content=lambda: text,
    )  # fmt: skip


def resolve(texts: dict[str, str], root: str, text_max_chars: int = 100_000) -> str:
    sources = {name: source(name, text) for name, text in texts.items()}
    composer = Composer(lambda reference: sources.get(reference.name), text_max_chars)
    resolved: str = composer.resolve(sources[root]).content
    return resolved


PIECES = st.lists(
    st.one_of(st.text(max_size=8), st.sampled_from(["@@@", "{{x}}", "$1", "\\", '"', "|"])),
    max_size=4,
)
GRAPHS = st.lists(
    st.lists(st.one_of(PIECES.map("".join), st.integers(0, 30)), max_size=4),
    min_size=1,
    max_size=DEPTH_MAX,
)
"""Prompts by number; an integer is a reference to one of those before it."""


@given(GRAPHS)
def test_a_resolved_prompt_is_the_text_with_its_references_written_out(
    graph: list[list[str | int]],
) -> None:
    texts: dict[str, str] = {}
    expected: dict[str, str] = {}
    for number, pieces in enumerate(graph):
        own, whole = "", ""
        for piece in pieces:
            if isinstance(piece, str):
                clean = piece.replace("@@@langfusePrompt", "")
                own, whole = own + clean + " ", whole + clean + " "
            elif number:
                name = f"p{piece % number}"
                own, whole = own + tag(name), whole + expected[name]
        texts[f"p{number}"], expected[f"p{number}"] = own, whole
    root = f"p{len(graph) - 1}"
    assert resolve(texts, root) == expected[root]


def test_what_only_looks_like_a_reference_is_text() -> None:
    for text in (
        "@@@langfusePrompt:label=a|name=b@@@", "@@@langfusePrompt:name=b@@@",
        "@@@langfusePrompt:name=b|version=0@@@", "@@@langfusePrompt:name=b|label=B@@@",
        "@@@langfusePrompt:name=b|version=1|label=c@@@", "@@@other:name=b|version=1@@@",
    ):  # fmt: skip
        assert resolve({"a": text}, "a") == text


def test_an_inserted_text_is_not_searched_again() -> None:
    halves = {"a": f"@@@{tag('b')}", "b": "langfusePrompt:name=c|version=1@@@"}
    assert resolve(halves, "a") == "@@@langfusePrompt:name=c|version=1@@@"


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ({"a": tag("a")}, "Circular dependency"),
        ({"a": tag("b"), "b": tag("c"), "c": tag("b")}, "Circular dependency"),
        ({"a": tag("b") + tag("c"), "b": tag("c"), "c": tag("a")}, "Circular dependency"),
        ({"a": tag("x")}, "dependency not found: x - label production"),
        ({"a": tag("b"), **{x: tag(y) for x, y in zip("bcde", "cdef", strict=True)}, "f": "end"},
         "Maximum nesting depth"),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved_is_refused(texts: dict[str, str], fault: str) -> None:
    with pytest.raises(CompositionError, match=fault):
        resolve(texts, "a")


def test_five_levels_are_resolved() -> None:
    texts = {x: tag(y) for x, y in zip("abcd", "bcde", strict=True)} | {"e": "end"}
    assert resolve(texts, "a") == "end"


def test_a_text_that_would_explode_is_refused_before_it_is_built() -> None:
    texts = {x: tag(y) * 200 for x, y in zip("abcd", "bcde", strict=True)} | {"e": "x" * 100}
    with pytest.raises(CompositionError, match="longer than 100000 characters"):
        resolve(texts, "a")


def test_only_text_prompts_are_included() -> None:
    chat = source("b", "x", is_text=False)
    composer = Composer(lambda _: chat, 1_000)
    with pytest.raises(CompositionError, match="not a text prompt"):
        composer.resolve(source("a", tag("b")))


def test_references_are_listed_once_by_version_or_label() -> None:
    text = "@@@langfusePrompt:name=b/c|version=12@@@"
    assert references_in([text, text + tag("d")]) == (
        PromptReference(name="b/c", version=12), PromptReference(name="d", label="production"),
    )  # fmt: skip


def test_variables_are_those_of_mustache() -> None:
    assert variables_in(["{{a}} {{ b_1 }} {{ 'c' }} {d} {{a}} {{ e.f }}"]) == ("a", "b_1")
