"""What every test may ask for; the engines live in tests/fixtures."""

import gc

import pytest
from hypothesis import settings

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.store", "tests.fixtures.installed"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

LONGEST = ("tests/compat/", "tests/e2e/", "tests/integration/", "tests/streams/")
"""Directories whose tests take longest, and wait most of the time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest tests: the processes of ``make test`` share what is left at the end.

    One process has the tests of a whole installation, so that few installations are started.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """Let the garbage collector skip what was imported: it took a seventh of the time of tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
