"""What every test may ask for; the engines live in tests/fixtures."""

import gc

from hypothesis import settings

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.store"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Let the garbage collector skip what was imported: it took a seventh of the time of tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
