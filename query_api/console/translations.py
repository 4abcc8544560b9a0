"""Load the translations of the console's texts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.core import negotiate_locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

DIRECTORY: Final = Path(__file__).parent / "locale"
ENGLISH: Final = "en"
LOCALES: Final[Mapping[str, str]] = {ENGLISH: "English", "zh_CN": "简体中文"}
"""The locales by identifier, with their own names."""
ACCEPTED_MAX: Final = 20
"""Languages of an ``Accept-Language`` header that are read."""


@cache
def translations_of(locale: str) -> NullTranslations:
    """Return the translations to a locale. The texts in templates are English."""
    if locale == ENGLISH:
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalog_of(locale))
    compiled.seek(0)
    return Translations(compiled)


def catalog_of(locale: str) -> Catalog:
    """Return the texts of all files of a locale, one file per area of pages.

    Raises:
        ValueError: two files translate a text differently.
    """
    catalog = Catalog(locale=locale)
    for path in sorted((DIRECTORY / locale).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=locale):
                if not message.id:
                    continue
                known = catalog.get(message.id)
                if known is not None and known.string != message.string:
                    raise ValueError(f"{path.name} translates {message.id!r} differently")
                catalog[message.id] = message
    return catalog


@cache
def locale_of(identifier: str) -> Locale:
    return Locale.parse(identifier)


def preferred_locale(accept_language: str) -> str:
    """Return the locale that fits an ``Accept-Language`` header best; English if none does."""
    wanted = [
        part.partition(";")[0].strip().replace("-", "_")
        for part in accept_language.split(",")[:ACCEPTED_MAX]
    ]
    # Browsers name Simplified Chinese zh, zh-CN, zh-Hans or zh-SG.
    wanted = [
        "zh_CN" if each.lower().startswith(("zh_hans", "zh_sg")) or each.lower() == "zh" else each
        for each in wanted
    ]
    return negotiate_locale(wanted, list(LOCALES)) or ENGLISH
