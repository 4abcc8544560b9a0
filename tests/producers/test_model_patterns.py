"""Patterns of model names come from users: none may take longer than its size allows."""

from __future__ import annotations

import json
import re
import time
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.model_patterns import NAME_CHARS_MAX, ModelPattern

CATASTROPHIC = [
    r"(a+)+$",
    r"(a*)*$",
    r"(a+)*$",
    r"(a*)+$",
    r"([a-zA-Z]+)*$",
    r"(a|aa)+$",
    r"(a|a?)+$",
    r"(.*a){20}$",
    r"(.*a){11}",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(x+x+)+y",
    r"(\w+\s?)*$",
    r"(\w*)*$",
    r"(\d+)+$",
    r"^(\d+)*$",
    r"(\w+\d+)+C",
    r"(.*)*",
    r"(.+)+x",
    r"(.|a)+x",
    r"(a|b|ab)*c",
    r"(a|a)*b",
    r"a*a*a*a*a*a*a*a*a*a*b",
    r"\w*\w*\w*\w*\w*\w*\w*\w*!",
    r".*.*.*.*.*.*.*.*.*.*=.*",
    r"(?:a?){30}a{30}",
    r"(a?){25}a{25}",
    r"((a+)+)+$",
    r"(((a*)*)*)*$",
    r"(?:(?:a+)+)+b",
    r"([^x]+)*x",
    r"([\s\S]*)*x",
    r"(a+b?)+c",
    r"(ab?)*(a?b)*c",
    r"(?:[a-z0-9]+-?)+!",
    r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$",
    r"^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*)*$",
    r"(?i)^(gpt|gpt-4|gpt-4o)*(-mini)*(-\w+)*\s$",
    r"(a{1,30}){1,30}b",
    r"(.{0,30}x?){30}",
    r"([a-c]*){1,100}d",
    r"^((a|b)+)*((a|b)+)*$",
    r"(?P<name>(a+)+)$",
    r"(a+)+(b+)+(c+)+$",
    r"((?:a|b)*a(?:a|b){20})*c",
    r"((a{100}){100}){100}",
    r"(a{1000}){1000}",
    r"(\pL+)*x",
    r"(a)\1+$",
    r"(?=(a+))a*b\1",
    r"(?!.*(a+)+$).*",
    r"(?<=a+)b",
    r"(?>a+)+b",
    r"(a++)+b",
]
HOSTILE = [
    "a" * 10_000,
    "ab" * 5_000,
    "a" * NAME_CHARS_MAX,
    "a" * (NAME_CHARS_MAX - 1) + "!",
    ("ab" * NAME_CHARS_MAX)[:NAME_CHARS_MAX],
    "gpt-4o-" * 28,
    "1" * (NAME_CHARS_MAX - 1) + "x",
    "x" * (NAME_CHARS_MAX - 1) + "é",
]
ACCEPTED = {
    "(?i)^(openai/)?(gpt-4o)$": ("gpt-4o", "gpt-4o-mini"),
    "(?i)^(anthropic/)?(claude-opus-4-5|(eu\\.|us\\.|apac\\.)?anthropic\\.claude-opus-4-5-v1:0)$": (
        "us.anthropic.claude-opus-4-5-v1:0",
        "claude-opus-4-6",
    ),
    "(?i)^(google/)?(gemini-1.5-pro)(@[a-zA-Z0-9]+)?$": ("gemini-1.5-pro@001", "gemini-2"),
    "gpt-4o(-mini)?(-[0-9]{4}-[0-9]{2}-[0-9]{2})?": ("GPT-4o-mini-2024-07-18", "gpt-4o-"),
    r"ft:gpt-3\.5-turbo-\d{4}:.+:.*:\w+": ("ft:gpt-3.5-turbo-0613:acme::7p4", "ft:x"),
    "[[:alpha:]]+-[[:digit:]]+": ("llama-3", "3-llama"),
    ".*": ("anything at all", "two\nlines"),
    "modèle-.*": ("Modèle-1", "modele-1"),
}


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_no_pattern_takes_long(pattern: str) -> None:
    try:
        compiled = ModelPattern(pattern)
    except ValueError:
        return
    for name in HOSTILE:
        fastest_s = min(_seconds(compiled, name) for _ in range(5))
        assert fastest_s < 0.001, (pattern, len(name))


def _seconds(pattern: ModelPattern, name: str) -> float:
    start_s = time.perf_counter()
    pattern.matches(name)
    return time.perf_counter() - start_s


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_usual_patterns_match_whole_names(pattern: str) -> None:
    yes, no = ACCEPTED[pattern]
    assert ModelPattern(pattern).matches(yes)
    assert not ModelPattern(pattern).matches(no)


def test_a_pattern_matches_whole_names_or_parts_of_them() -> None:
    whole, part = ModelPattern("gpt-4o"), ModelPattern("gpt-4o", "part")
    assert (whole.matches("GPT-4o"), whole.matches("my-gpt-4o-x")) == (True, False)
    assert (part.matches("my-gpt-4o-x"), part.matches("GPT-4O")) == (True, False)
    assert ModelPattern("(?i)gpt-4O", "part").matches("my-gpt-4o")
    assert not ModelPattern("^gpt-4o$", "part").matches("my-gpt-4o")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "1 to 500 characters"),
        ("a" * 501, "1 to 500 characters"),
        ("(", "not a regular expression"),
        (r"(a)\1", "backreferences"),
        ("gpt(?!-4)", "lookarounds"),
        ("a{,3}", "{0,3}"),
        ("a{0,900}b{0,900}", "too complex"),
        ("((a{100}){100}){100}", "too complex"),
        ("a{2000}", "too complex"),
        ("\ud800", "surrogate"),
    ],
)
def test_a_refusal_gives_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        ModelPattern(pattern)


@given(st.text(max_size=30), st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused_and_any_text_is_a_name(pattern: str, name: str) -> None:
    try:
        compiled = ModelPattern(pattern)
    except ValueError:
        return
    assert compiled.matches(name) in (True, False)


@given(st.text(alphabet="gpt-4o.:/a", max_size=20))
def test_a_name_that_is_escaped_matches_itself(name: str) -> None:
    if name:
        assert ModelPattern(re.escape(name)).matches(name)


def test_patterns_of_the_default_list_match_as_python_matches_them() -> None:
    """The same names, for a user who copies one of them."""
    listed = json.loads(
        (files("streams.core.pricing") / "prices" / "genai_prices.json").read_bytes()
    )
    models = [model for provider in listed["providers"] for model in provider["models"]]
    names = {name for model in models for name in (model["id"], *model.get("names", ()))}
    patterns = {model["pattern"] for model in models if "pattern" in model}
    shipped = [each for each in patterns if "(?=" not in each and "(?!" not in each]
    assert len(shipped) > 200
    for pattern in shipped:
        ours, pythons = ModelPattern(pattern, "part"), re.compile(pattern)
        assert {name for name in names if ours.matches(name)} == {
            name for name in names if pythons.search(name)
        }, pattern
