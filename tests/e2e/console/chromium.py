"""Find the browser of the tests, and the screens on which they look at the console."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

EXECUTABLE = os.environ.get("TRACEMILL_TEST_CHROMIUM") or shutil.which("chromium") or ""
"""Debian's Chromium, unless the variable names another one."""
MISSING = (
    "no Chromium: apt-get install chromium fonts-noto-cjk, or set TRACEMILL_TEST_CHROMIUM to one"
)
SCREENSHOTS = os.environ.get("TRACEMILL_TEST_SCREENSHOTS", "")
"""Directory of the screenshots; empty: the temporary directory of the tests."""
ALL_SCREENS = "TRACEMILL_TEST_ALL_SCREENS"
TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class Screen:
    """What a viewer sees: theme, language and width in pixels."""

    theme: str
    locale: str
    width: int

    def __str__(self) -> str:
        return f"{self.theme}-{self.locale}-{self.width}"

    @property
    def language(self) -> str:
        """The language that the browser asks for."""
        return {"en": "en-US", "zh_CN": "zh-CN"}[self.locale]


# Every pair of two values is on one of these four screens.
PAIRS = (
    Screen("light", "en", 1440),
    Screen("light", "zh_CN", 390),
    Screen("dark", "en", 390),
    Screen("dark", "zh_CN", 1440),
)
EVERY = tuple(
    Screen(theme, locale, width)
    for theme in ("light", "dark")
    for locale in ("en", "zh_CN")
    for width in (1440, 390)
)
SCREENS = EVERY if os.environ.get(ALL_SCREENS) else PAIRS
DESK = PAIRS[0]


def is_installed() -> bool:
    return bool(EXECUTABLE) and Path(EXECUTABLE).exists()
