"""Every text of the console is translated to every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

import query_api.console
from producers import dead_letter_replays
from producers.notifications import rule_texts
from query_api.alerting import silence_warnings
from query_api.console.page import GROUPS, Page, registered
from query_api.console.translations import ENGLISH, LOCALES, catalog_of, preferred_locale
from query_api.v1 import routes
from tests.query_api.console.browser import signed_in, text_of
from tests.query_api.harness import PROJECT, Api

TEMPLATES = Path(query_api.console.__file__).parent / "templates"
_FIELD = re.compile(r"%\((\w+)\)s")


def messages() -> set[str | tuple[str, ...]]:
    options = {"**.html": {"trimmed": "true"}}
    found = extract_from_dir(
        TEMPLATES, [("**.html", "jinja2.ext:babel_extract")], options,
        keywords={"_": None, "gettext": None, "ngettext": (1, 2)},
    )  # fmt: skip
    pages = [each for each in registered() if isinstance(each, Page) and each.place is not None]
    titles = {page.title for page in pages} | set(filter(None, GROUPS.values()))
    sentences = {*dead_letter_replays.TEMPLATES, *silence_warnings.TEMPLATES, *routes.TEMPLATES}
    sentences |= set(rule_texts.TEMPLATES)
    return {text for _, _, text, _, _ in found} | titles | sentences


@pytest.mark.parametrize("locale", [locale for locale in LOCALES if locale != ENGLISH])
def test_a_catalog_has_every_text_and_no_other(locale: str) -> None:
    catalog = catalog_of(locale)
    translated = {
        message.id if isinstance(message.id, str) else tuple(message.id)
        for message in catalog
        if message.id and (all(message.string) if message.pluralizable else message.string)
    }
    assert translated == messages()
    for message in catalog:
        if message.id:
            texts = message.string if message.pluralizable else (message.string,)
            named = set(_FIELD.findall(str(message.id)))
            assert all(set(_FIELD.findall(text)) == named for text in texts), message.id


@pytest.mark.parametrize(
    ("accepted", "locale"),
    [("zh-CN,zh;q=0.9", "zh_CN"), ("zh-Hans-SG", "zh_CN"), ("zh", "zh_CN"), ("de, en", "en"),
     ("", "en"), ("x" * 9_000, "en"), (",;q=,*", "en")],
)  # fmt: skip
def test_the_language_is_that_of_the_browser(accepted: str, locale: str) -> None:
    assert preferred_locale(accepted) == locale


async def test_warnings_are_shown_in_the_chosen_language(api: Api) -> None:
    silence = {"matchers": {"tema": "<b>"}, "duration": "1h"}
    (warning,) = (await api.client.post("/v1/silences", json=silence)).json()["warnings"]
    async with signed_in(api) as client:
        page = f"/project/{PROJECT}/silences"
        english = text_of((await client.get(page)).text)
        chinese = text_of((await client.get(page, headers={"accept-language": "zh-CN"})).text)
    assert warning.removeprefix("matchers.0: ") in english
    assert "没有告警规则或最近的告警带有标签 'tema'" in chinese


async def test_pages_are_shown_in_the_chosen_language_and_time_zone(api: Api) -> None:
    async with signed_in(api) as client:
        chinese = {"accept-language": "zh-CN"}
        page = await client.get(f"/project/{PROJECT}/traces?q=x", headers=chinese)
        assert 'lang="zh-CN"' in page.text
        assert "没有" in text_of(page.text)
        client.cookies.set("tracemill_locale", "en")
        page = await client.get(f"/project/{PROJECT}/traces?q=x", headers=chinese)
        assert 'lang="en"' in page.text
